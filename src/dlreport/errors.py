"""How a run ends early: by what the user can put right, and by signals."""

import signal
import sys
from collections.abc import Callable

# Of a terminal, of one that is closed, of the system, and of batch systems before a job's time is over
STOPPING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

LESS = "lower a batch size, a hidden size or the number of sequences"


class UserError(Exception):
    """Bad input or a missing dependency; the message says what to do, and is made one line whatever it quotes."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class Interrupted(Exception):  # noqa: N818
    """A training saved its state and stopped because of a signal (`number`); the message says how to go on."""

    def __init__(self, number: int, message: str):
        super().__init__(number, message)  # both, so that it survives the way back from another process
        self.number, self.message = number, message


def run(main: Callable[[], None]) -> None:
    """Run a script's main; UserError, OSError and want of memory end it with one line on stderr and code 1."""
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except MemoryError:
        sys.exit(f"error: not enough memory; {LESS}")
    except RuntimeError as error:
        # PyTorch's own for want of memory: of a class of its own on a GPU, on a CPU told by its text alone
        if type(error).__name__ != "OutOfMemoryError" and "allocate memory" not in str(error):
            raise
        sys.exit(f"error: {' '.join(str(error).split())}; {LESS}")
    except Interrupted as stop:
        print(f"stopped: {stop.message}", file=sys.stderr)
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run it again to go on from what is finished")
