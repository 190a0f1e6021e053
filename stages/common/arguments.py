"""The arguments of a stage that dvc.yaml runs for each item of a matrix. DVC writes them in place of ${item}."""

import argparse


def parse(description: str | None, name: str) -> tuple[str, int]:
    """Parse the command line `--NAME VALUE --length L`, where NAME is `name`. Return the value and the length."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = vars(parser.parse_args())
    return arguments[name], arguments["length"]
