"""What the contexts of both parts use."""

import inspect
import re
from collections.abc import Callable
from textwrap import dedent
from typing import Any

import pandas as pd

Row = dict[str, Any]


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table. An empty cell, which pandas reads as NaN, becomes None."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def source_code(*functions: Callable[..., Any]) -> str:
    """Return the functions as they stand in the source, without docstrings."""
    return "\n\n".join(
        re.sub(r'\n *""".*?"""', "", dedent(inspect.getsource(f)), flags=re.DOTALL).rstrip() for f in functions
    )
