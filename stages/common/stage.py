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
    """Run main as errors.run does. If it succeeds under DVC, also write manifest/STAGE.json, which is no output."""

    def main_with_manifest() -> None:
        start, name = time.perf_counter(), os.environ.get("DVC_STAGE")
        device = load_params().device if name else ""  # now: by the end of a long training the file may be another
        main()
        if name:
            write_json(Path(f"manifest/{name}.json"), entry(time.perf_counter() - start, device))

    errors.run(main_with_manifest)
