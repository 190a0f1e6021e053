"""How every stage runs: its errors in one line, and under DVC on record."""

import os
from collections.abc import Callable
from contextlib import nullcontext

from dlreport import errors
from dlreport.config import load_params
from dlreport.provenance import recorded


def run(main: Callable[[], None]) -> None:
    """Run main as errors.run does. If it succeeds under DVC, its run is put on record."""

    def main_on_record() -> None:
        name = os.environ.get("DVC_STAGE")
        # the device now: by the end of a long training the file may be another
        with recorded(name, load_params().device) if name else nullcontext():
            main()

    errors.run(main_on_record)
