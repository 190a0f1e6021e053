"""How a run ends early: by an error that the user can put right, or by a signal."""

import signal
import sys
from collections.abc import Callable

# A terminal sends SIGINT, and SIGHUP when it is closed. The system sends SIGTERM. Batch systems send SIGUSR1 or SIGUSR2
# before a job's time is over.
STOPPING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

LESS = "lower a batch size, a hidden size or the number of sequences"


class UserError(Exception):
    """Bad input or a missing dependency. The message says what to do. It becomes one line, whatever it quotes."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.split()))


class Interrupted(Exception):  # noqa: N818
    """A run stopped because of the signal `number`, and saved its state if it could. The message says how to go on."""

    def __init__(self, number: int, message: str):
        super().__init__(number, message)  # both, as unpickling in another process calls __init__ with them
        self.number, self.message = number, message


def run(main: Callable[[], None]) -> None:
    """Run a script's main, and turn errors that the user can put right into one line on stderr and exit code 1.

    These are UserError, OSError, lack of memory and KeyboardInterrupt. After Interrupted the exit code is 128 plus the
    signal's number.
    """
    try:
        main()
    except (UserError, OSError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except MemoryError:
        sys.exit(f"error: not enough memory; {LESS}")
    except RuntimeError as error:
        # PyTorch's errors for lack of memory: on a GPU they have a class, on a CPU only the text tells
        if type(error).__name__ != "OutOfMemoryError" and "allocate memory" not in str(error):
            raise
        sys.exit(f"error: {' '.join(str(error).split())}; {LESS}")
    except Interrupted as stop:
        print(f"stopped: {stop.message}", file=sys.stderr)
        sys.exit(128 + stop.number)
    except KeyboardInterrupt:
        sys.exit("error: interrupted; run it again to go on from what is finished")
