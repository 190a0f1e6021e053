"""The one exception that means "the user can put this right"."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Bad input or a missing dependency; the message is one line that says what to do."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's main; a UserError or an OSError ends it with one line on stderr and exit code 1."""
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run `dvc repro` to go on from the last finished stage")
