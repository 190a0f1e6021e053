"""Put the report's findings into the README, where people look first. Run it by `make readme`, after `dvc repro`."""

import re
from pathlib import Path

from dlreport.errors import UserError, run
from dlreport.io import write_text

FINDINGS, README = Path("report/findings.md"), Path("README.md")
BLOCK = re.compile(r"(<!-- findings: .*? -->\n).*(<!-- end of findings -->)", re.S)


def spliced(readme: str, findings: str) -> str:
    """Return the README with these findings in place of the old ones.

    Raises UserError if the comments around the findings are not there exactly once.
    """
    if len(BLOCK.findall(readme)) != 1:
        raise UserError(f"{README}: expected the comments that begin and end the findings, once each; put them back")
    return BLOCK.sub(lambda found: f"{found[1]}\n{findings}\n{found[2]}", readme)


def main() -> None:
    write_text(README, spliced(*(path.read_text(encoding="utf-8") for path in (README, FINDINGS))))


if __name__ == "__main__":
    run(main)
