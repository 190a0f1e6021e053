"""Write for each stage what its result depends on beside data and parameters: a file in sources/, which it depends on.

Like this a change reruns just what it can change: no comment reruns anything, a constant its users, a new version of a
package what imports it.
"""

import shutil
import sys
from pathlib import Path

try:
    from common.sources import Sources, pinned
    from common.stage import run
    from dlreport.io import read_yaml, write_text
    from dlreport.sequence.models import MODELS
except ModuleNotFoundError as error:
    sys.exit(f"error: {error.name} is not installed; run `make setup`, then `. .venv/bin/activate`")

SOURCES, STUDY = Path("sources"), Path("studies/frontier")


def models_in(params: object, *keys: str) -> list[str]:
    """The models under these keys. Parameters that are bad are the next stage's to refuse, and passed over here."""
    for key in keys:
        params = params.get(key) if isinstance(params, dict) else None
    return [name for name in params if name in [*MODELS]] if isinstance(params, list) else []


def derive() -> dict[Path, str]:
    """By the path of the file in sources/. A script without a main is no stage's, but a module of one."""
    found, pins = {}, pinned(Path("requirements.txt"))
    for directory, keys in ((Path(), ("sequence", "models")), (STUDY, ("models",))):
        here = Sources(directory / "stages", models_in(read_yaml(directory / "params.yaml"), *keys), pins)
        scripts = [path for path in (directory / "stages").glob("[!.]*.py") if b"__main__" in path.read_bytes()]
        for script in sorted(set(scripts) - {Path("stages/sources.py")}):
            found |= {SOURCES / directory.name / name: text for name, text in here.of(script).items()}
    return found


def main() -> None:
    found = derive()
    shutil.rmtree(SOURCES, ignore_errors=True)
    for path, text in found.items():
        write_text(path, text)


if __name__ == "__main__":
    run(main)
