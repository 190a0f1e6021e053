"""Refuse bad parameters, and an environment that was not set up, before any other stage starts."""

import sys
from pathlib import Path

try:
    from dlreport.config import load_params
    from dlreport.io import write_text
    from stage import run
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed; run `make setup`, then `. .venv/bin/activate`")


def main() -> None:
    params = load_params()
    if params.device not in ("auto", "cpu") or params.precision != "fp32":
        from dlreport.runtime import check_precision, select_device  # here: it imports torch, which takes seconds

        check_precision(params.precision, select_device(params.device))
    # Always the same content: later stages wait for this file, and never rerun because of it.
    write_text(Path("data/params-checked"), "ok\n")


if __name__ == "__main__":
    run(main)
