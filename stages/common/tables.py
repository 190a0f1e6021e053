"""Tables of which there is one for each task or variant."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from dlreport.io import read_csv

Tables = dict[tuple[str, int], pd.DataFrame]


def read_tables(directory: Path, names: Iterable[str], lengths: Iterable[int]) -> Tables:
    """The tables NAME-LENGTH.csv of a directory, by (name, length).

    By names and lengths of the params, never by glob: the directory may still hold files of others, since removed.
    """
    return {(name, length): read_csv(directory / f"{name}-{length}.csv") for name, length in product(names, lengths)}


def merged(tables: Tables, name: str = "model") -> pd.DataFrame:
    """All of them as one, with columns for the keys first: `name` and length."""
    return pd.concat(tables, names=[name, "length"]).droplevel(2).reset_index()
