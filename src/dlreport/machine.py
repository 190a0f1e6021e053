"""What the machine's processor is called."""

import platform
from pathlib import Path


def cpu_name() -> str:
    """Return the processor's model name, as Linux gives it on x86; elsewhere the architecture, such as "arm64"."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
