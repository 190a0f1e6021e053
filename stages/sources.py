"""Write for each stage what its result depends on beside data and parameters: a file in sources/, which it depends on.

Like this a change reruns just what it can change: no comment reruns anything, a constant its users, a new version of a
package what imports it.
"""

import shutil
import sys
from pathlib import Path

try:
    from common.sources import pinned, sources
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


def main() -> None:
    pins = pinned(Path("requirements.txt"))
    shutil.rmtree(SOURCES, ignore_errors=True)
    for directory, keys in ((Path(), ("sequence", "models")), (STUDY, ("models",))):
        trained = models_in(read_yaml(directory / "params.yaml"), *keys)
        for script in sorted((directory / "stages").glob("*.py")):
            for model, text in sources(script, trained, pins).items():
                name = f"{script.stem}/{model}.txt" if model else f"{script.stem}.txt"
                write_text(SOURCES / directory.name / name, text)


if __name__ == "__main__":
    run(main)
