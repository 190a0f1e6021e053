"""How training shows its progress: as a bar on a terminal, and elsewhere as plain log lines at a bounded rate."""

import logging
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

log = logging.getLogger("dlreport")

SECONDS = 30  # between two log lines of one training, where there is no terminal


def start_logging() -> None:
    """Log plain lines with the time of day to stderr."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)


class _Lines:
    """A file for tqdm that logs each line written to it."""

    def write(self, text: str) -> None:
        if line := text.strip():  # tqdm clears a bar by writing blanks
            log.info(line)

    def flush(self) -> None:
        pass


@contextmanager
def steps_bar(total: int, label: str, position: int = 0, unit: str = " steps") -> Iterator[tqdm]:
    """Show how much of `total` is done, how fast, and the time left. The bar's method `update` adds what is done.

    On a terminal this is a bar with log lines above it, elsewhere a log line every SECONDS.
    """
    how: dict[str, Any]
    if sys.stderr.isatty():
        how = {"mininterval": 0.5, "position": position}
    else:
        line = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"
        how = {"mininterval": SECONDS, "delay": SECONDS, "file": _Lines(), "bar_format": line}
    with logging_redirect_tqdm(), tqdm(total=total, desc=label, unit=unit, leave=False, **how) as bar:
        yield bar


def progress(items: Collection[int], label: str) -> Iterator[int]:
    """Yield the epochs one by one, with a bar as in `steps_bar`."""
    with steps_bar(len(items), label, unit=" epochs") as bar:
        for item in items:
            yield item
            bar.update()
