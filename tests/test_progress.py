"""Progress as its reader gets it: lines at a bounded rate on a pipe, a bar on a terminal."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress

SCRIPT = """
import time
from dlreport import progress
progress.SECONDS = 0.2
progress.start_logging()
with progress.steps_bar(100, "LSTM-5 replicate 0") as bar:
    for step in range(100):
        time.sleep(0.01)
        bar.update()
"""


def test_a_pipe_gets_few_plain_lines():
    said = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stderr
    line = r"\d\d:\d\d:\d\d LSTM-5 replicate 0: \d+ of 100, +[\d.]+ steps/s, \d\d:\d\d left\n"
    assert re.fullmatch(f"({line}){{1,20}}", said), said


def test_a_terminal_gets_a_bar():
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stderr=terminal) as process:
        os.close(terminal)
        said = b""
        with suppress(OSError):  # how Linux says that the other end is closed
            while part := os.read(reader, 1024):
                said += part
    os.close(reader)
    assert process.returncode == 0
    assert re.search(rb"LSTM-5 replicate 0: +\d+%\|.+\d+/100 \[\d\d:\d\d<\d\d:\d\d, +[\d.]+ steps/s\]", said), said
