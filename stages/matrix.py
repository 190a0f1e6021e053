"""The arguments that dvc.yaml's matrices give to a stage, as DVC writes ${item}."""

import argparse

from dlreport.training.sequence import Cell


def _parse(description: str | None, name: str) -> tuple[str, int]:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = vars(parser.parse_args())
    return arguments[name], arguments["length"]


def parse_cell(description: str | None) -> Cell:
    """--model NAME --length L"""
    return Cell(*_parse(description, "model"))


def parse_variant(description: str | None) -> tuple[str, int]:
    """--variant NAME --length L"""
    return _parse(description, "variant")
