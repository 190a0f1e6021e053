"""Progress: a bar on a terminal; in a log, plain lines at a bounded rate."""

import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger("dlreport")

SECONDS = 30  # between two lines of one training, where there is no terminal


def start_logging() -> None:
    """Plain lines with the time of day, on stderr."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)


class _Lines:
    """A file for tqdm whose lines are the log's."""

    def write(self, text: str) -> None:
        if line := text.strip():  # what clears a bar is empty
            log.info(line)

    def flush(self) -> None:
        pass


@contextmanager
def steps_bar(total: int, label: str, position: int = 0, unit: str = " steps") -> Iterator[tqdm]:
    """What is done of `total`, how fast, and the time left, moved by `update`: a bar on a terminal, with log lines
    above it, else a line each SECONDS."""
    how: dict[str, Any]
    if sys.stderr.isatty():
        how = {"mininterval": 0.5, "position": position}
    else:
        line = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"
        how = {"mininterval": SECONDS, "delay": SECONDS, "file": _Lines(), "bar_format": line}
    with logging_redirect_tqdm(), tqdm(total=total, desc=label, unit=unit, leave=False, **how) as bar:
        yield bar


def progress(items: Collection[int], label: str) -> Iterator[int]:
    """Iterate over epochs with such a bar."""
    with steps_bar(len(items), label, unit=" epochs") as bar:
        for item in items:
            yield item
            bar.update()
