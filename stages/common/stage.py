"""How every stage runs: an error is shown in one line, and a run under DVC is put on record."""

import os
from collections.abc import Callable
from contextlib import nullcontext

from dlreport import errors
from dlreport.config import load_params
from dlreport.provenance import recorded


def run(main: Callable[[], None]) -> None:
    """Run main as errors.run does. If main succeeds under DVC, put its run on record (see provenance.py)."""

    def main_on_record() -> None:
        name = os.environ.get("DVC_STAGE")
        # read the device now, since params.yaml may have changed by the end of a long training
        with recorded(name, load_params().device) if name else nullcontext():
            main()

    errors.run(main_on_record)
