"""Sets of tables, with one table for each model, or variant, and length."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from dlreport.io import read_csv

Tables = dict[tuple[str, int], pd.DataFrame]


def read_tables(directory: Path, names: Iterable[str], lengths: Iterable[int]) -> Tables:
    """Return the tables NAME-LENGTH.csv of a directory, by (name, length).

    Take names and lengths from the parameters and not from a glob: the directory may still hold files of names or
    lengths that were removed from the parameters.
    """
    return {(name, length): read_csv(directory / f"{name}-{length}.csv") for name, length in product(names, lengths)}


def merged(tables: Tables, name: str = "model") -> pd.DataFrame:
    """Return all tables as one, whose first columns are the keys: `name` and length."""
    return pd.concat(tables, names=[name, "length"]).droplevel(2).reset_index()
