"""Write the files in .dvc/plots that `dvc plots show` and `dvc plots diff` use: the page (page.html) and a template for
each chart. The functions that draw the report's charts make the templates.

DVC's own page loads Vega from the network. Ours contains Vega, so it needs no network, wherever it is written or sent.
DVC reads these from files, so they are built ahead and are in git. Run `python tools/plots_page/build.py` when a chart
or page.html changes.
"""

import json
from pathlib import Path

from dlreport.drawing import CONFIG
from dlreport.gan import figures as of_gan
from dlreport.report.render import drawing_library, licences
from dlreport.sequence import figures as of_sequence
from dlreport.sequence.models import MODELS, colours

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / ".dvc/plots"


def templates() -> dict[str, str]:
    """Return the templates by name. DVC fills in the title and the rows of all revisions."""
    rows, models = {"values": "<DVC_METRIC_DATA>"}, colours(MODELS)
    charts = {
        "accuracy_by_length": of_sequence.accuracy_by_length(rows, models, revisions=True),
        "accuracy_curves": of_sequence.accuracy_curves(rows, models, revisions=True),
        "loss_curves": of_sequence.loss_curves(rows, models, revisions=True),
        "growth": of_sequence.growth(rows, models, revisions=True),
        "probe": of_sequence.probe(rows, models, revisions=True),
        "ablation": of_sequence.ablation(rows, revisions=True),
        "losses": of_gan.losses(rows, revisions=True),
        "quality_by_epoch": of_gan.quality_by_epoch(rows, revisions=True),
        "digit_shares": of_gan.digit_shares(rows, revisions=True),
    }
    title = {"text": "<DVC_METRIC_TITLE>", "fontSize": 15, "offset": 12}
    return {
        name: json.dumps({"title": title, **chart, "config": CONFIG}, indent=1) + "\n" for name, chart in charts.items()
    }


def page() -> str:
    """Return page.html with Vega and its licences in the place where DVC's page would load Vega."""
    scripts = f"<!--\n{licences()}-->\n<script>{drawing_library()}</script>"
    return (HERE / "page.html").read_text(encoding="utf-8").replace("{scripts}", scripts)


def files() -> dict[str, str]:
    """Return the contents of all files, by their names in .dvc/plots."""
    return {"page.html": page(), **{f"{name}.json": text for name, text in templates().items()}}


if __name__ == "__main__":
    for name, text in files().items():
        (TARGET / name).write_text(text, encoding="utf-8")
