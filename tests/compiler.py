#!/usr/bin/env -S python3 -I
"""A compiler for the tests' many processes: what it has compiled before comes from the folder that this file is linked
into, under the name of the real one.

Every process that trains compiles its engine, for two seconds. The key is the command and all sources beside the one
is compiled, so that nothing stale is ever taken. This Python is isolated (-I): tests may trace what others read.
"""

import atexit
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NAMES = ("cc", "c++")


def install() -> None:
    """Put it first on the PATH of this process and its children, once."""
    if "TESTS_COMPILERS" not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="tests-compilers-"))
        atexit.register(shutil.rmtree, folder)
        for name in filter(shutil.which, NAMES):
            (folder / name).symlink_to(Path(__file__).resolve())
        os.environ |= {"TESTS_COMPILERS": str(folder), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def main(folder: Path, name: str, arguments: list[str]) -> int:
    path = os.pathsep.join(each for each in os.environ["PATH"].split(os.pathsep) if each != str(folder))
    command = [shutil.which(name, path=path), *arguments]
    if "-shared" not in arguments:
        return subprocess.run(command).returncode
    place = command.index("-o") + 1
    target, command[place] = command[place], ""
    source = next(Path(each) for each in arguments if each.endswith((".c", ".cpp")))
    key = hashlib.sha256(repr([source.name if each == str(source) else each for each in command]).encode())
    for beside in sorted(source.parent.glob("*.*")):
        key.update(beside.name.encode() + beside.read_bytes())
    made = folder / key.hexdigest()
    if not made.exists():
        command[place] = f"{made}.{os.getpid()}"
        if code := subprocess.run(command).returncode:
            return code
        Path(command[place]).replace(made)
    shutil.copyfile(made, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).absolute().parent, Path(sys.argv[0]).name, sys.argv[1:]))
