"""Refuse bad parameters before any training starts."""

from pathlib import Path

from common.stage import run
from dlreport.config import load_params
from dlreport.io import write_text
from dlreport.sequence.models import check_names


def main() -> None:
    params = load_params()
    check_names(params.sequence.models)
    if params.device not in ("auto", "cpu") or params.precision != "fp32":
        from dlreport.runtime import check_precision, select_device  # here: it imports torch, which takes seconds

        check_precision(params.precision, select_device(params.device))
    # Always the same content: later stages wait for this file, and never rerun because of it.
    write_text(Path("data/params-checked"), "ok\n")


if __name__ == "__main__":
    run(main)
