"""The arguments that dvc.yaml's matrices give to a stage, as DVC writes ${item}."""

import argparse


def parse(description: str | None, name: str) -> tuple[str, int]:
    """--NAME VALUE --length L -> the value and the length."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = vars(parser.parse_args())
    return arguments[name], arguments["length"]
