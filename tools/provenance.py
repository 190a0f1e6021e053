"""Put on record what made the results, in provenance.csv, which is in git. Run it by `make provenance`.

The record has the last run of each stage in this checkout. For a stage that has not run here, or whose run on record is
newer, it keeps the run on record.
"""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Any

from dlreport.errors import UserError, run
from dlreport.io import read_json, read_yaml, write_text
from dlreport.provenance import PACKAGES, RUNS

RECORD = Path("provenance.csv")
COLUMNS = (
    *("stage", "seconds", "finished", "commit", "code_changed_since_commit", "workers", "device"),
    *("cpu", "cpu_capability", "cores", "system", "python", *PACKAGES),
)
STUDY = "frontier"  # the study, which has a dvc.lock of its own


def last_runs() -> dict[str, dict[str, Any]]:
    """Return what is known of each stage's last run, by stage. Raises UserError if provenance.csv is damaged."""
    try:
        with RECORD.open(newline="", encoding="utf-8") as file:
            known = {row["stage"]: {**row, "seconds": float(row["seconds"])} for row in csv.DictReader(file)}
        for row in known.values():
            datetime.fromisoformat(str(row["finished"]))  # refuses what is no time
    except FileNotFoundError:
        known = {}
    except (KeyError, TypeError, ValueError) as error:  # a merge can do this
        raise UserError(
            f"{RECORD}: not as `make provenance` writes it; `git restore {RECORD}` brings it back"
        ) from error
    for path in RUNS.glob("*.json"):
        here, there = read_json(path), known.get(path.stem)
        if not there or here["finished"] >= there["finished"]:  # a run that came with a pull may be newer
            known[path.stem] = here
    return known


def main() -> None:
    runs, made = last_runs(), {*read_yaml(Path("dvc.lock"))["stages"], STUDY}
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    table.writeheader()
    rows = [{"stage": stage, **values} for stage, values in runs.items() if stage in made]
    table.writerows(sorted(rows, key=lambda row: row["finished"]))
    write_text(RECORD, text.getvalue())
    here = sum((RUNS / f"{row['stage']}.json").exists() for row in rows)
    print(f"{RECORD}: {len(rows)} stages, {here} of them as they ran here")
    if unknown := sorted(made - runs.keys() - {STUDY}):
        print(f"no run is known of: {', '.join(unknown)}")


if __name__ == "__main__":
    run(main)
