"""Progress: a bar on a terminal, plain lines in a log."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger("dlreport")


def start_logging() -> None:
    """Plain lines with the time of day, on stderr."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)


def progress(items: Iterable[int], label: str, position: int = 0) -> Iterable[int]:
    """Iterate with a tqdm bar if stderr is a terminal; log lines are then written above the bar."""
    with logging_redirect_tqdm():
        yield from tqdm(items, desc=label, position=position, disable=None, mininterval=0.5, leave=False)


@contextmanager
def steps_bar(total: int, label: str, position: int = 0) -> Iterator[tqdm]:
    """A bar to be moved by `update`, under the same conditions."""
    with logging_redirect_tqdm(), tqdm(total=total, desc=label, position=position, disable=None, leave=False) as bar:
        yield bar
