"""The arguments that dvc.yaml's matrix gives to a stage."""

import argparse

from dlreport.training.sequence import Cell


def parse_cell(description: str | None) -> Cell:
    """--model NAME --length L, as DVC writes ${item}."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = parser.parse_args()
    return Cell(arguments.model, arguments.length)
