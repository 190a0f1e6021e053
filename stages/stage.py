"""How every stage runs: its errors in one line, and an entry in the manifest."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from dlreport import errors
from dlreport.config import load_params
from dlreport.io import write_json
from dlreport.manifest import entry


def run(main: Callable[[], None]) -> None:
    """As errors.run does; what ends well under DVC is written to manifest/STAGE.json, which is no output of DVC's."""

    def main_with_manifest() -> None:
        start = time.perf_counter()
        main()
        if name := os.environ.get("DVC_STAGE"):
            write_json(Path(f"manifest/{name}.json"), entry(time.perf_counter() - start, load_params().device))

    errors.run(main_with_manifest)
