"""Refuse bad parameters before any other stage starts."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.errors import run
from dlreport.io import write_text
from dlreport.runtime import select_device


def main() -> None:
    select_device(load_params().device)
    # Always the same content: later stages wait for this file, and never rerun because of it.
    write_text(Path("data/params-checked"), "ok\n")


if __name__ == "__main__":
    run(main)
