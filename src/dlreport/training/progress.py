"""Progress: a bar on a terminal, plain lines in a log."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger("dlreport")


def start_logging() -> None:
    """Plain lines with the time of day, on stderr."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)


@contextmanager
def steps_bar(total: int, label: str, position: int = 0) -> Iterator[tqdm]:
    """A tqdm bar if stderr is a terminal, to be moved by `update`; log lines are then written above it."""
    options = {"position": position, "disable": None, "mininterval": 0.5, "leave": False}
    with logging_redirect_tqdm(), tqdm(total=total, desc=label, **options) as bar:
        yield bar


def progress(items: Collection[int], label: str) -> Iterator[int]:
    """Iterate with such a bar."""
    with steps_bar(len(items), label) as bar:
        for item in items:
            yield item
            bar.update()
