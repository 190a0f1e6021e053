"""Write the report from what the other stages computed."""

from pathlib import Path

from common.stage import run
from common.tables import read_tables

from dlreport.config import load_params
from dlreport.drawing import svg
from dlreport.errors import UserError
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.gan.samples import at_epoch
from dlreport.io import read_csv, read_json, read_yaml, write_text
from dlreport.report import charts
from dlreport.report.context import build
from dlreport.report.pictures import on_any_ground
from dlreport.report.render import markdown, page
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.statistics.claims import Claims

REPORT = Path("report")
CLAIMS = (SEQUENCE_CLAIMS, GAN_CLAIMS)
READERS = {".csv": read_csv, ".json": read_json, ".yaml": read_yaml}
FILES = {
    "published": "published.yaml",
    "comparison": "plots/sequence/comparison.csv",
    "runs": "plots/sequence/runs.csv",
    "thin_curves": "plots/sequence/curves.csv",
    "longer_runs": "plots/longer/replicates.csv",
    "ablation_runs": "plots/ablation/comparison.csv",
    "ablation_curves": "plots/ablation/curves.csv",
    "ablation_growth": "plots/ablation/growth.csv",
    "gradients": "plots/gradients/by_time_step.csv",
    "probe": "plots/memory/probe.csv",
    "confusion": "plots/memory/confusion.csv",
    "claims": "plots/claims.csv",
    "gan": "metrics/gan/training.json",
    "losses": "plots/gan/losses.csv",
    "layers": "plots/gan/layers.csv",
    "quality": "plots/gan/quality.csv",
    "quality_by_epoch": "plots/gan/quality_by_epoch.csv",
    "quality_by_digit": "plots/gan/quality_by_digit.csv",
    "digit_shares": "plots/gan/digit_shares.csv",
    "walks": "plots/gan/interpolation.csv",
    "classifier": "metrics/classifier.json",
    "frontier": "studies/frontier/longest.csv",
    "study_summary": "studies/frontier/cells.csv",
    "study": "studies/frontier/params.yaml",
}


def main() -> None:
    params = load_params()
    results = {name: READERS[Path(path).suffix](Path(path)) for name, path in FILES.items()}
    for kind in ("curves", "steps"):
        folder = Path("plots/sequence", kind)
        results[kind] = read_tables(folder, params.sequence.models, params.sequence.lengths)
    # One stage writes this whole directory anew, so no stale file can be in it.
    grids = {int(path.stem): path for path in sorted(Path("plots/gan/grids").glob("*.png"))}
    results["grid_epochs"] = [*grids]
    context, drawn = build(params, results), charts.build(params, results)
    text = markdown(context)
    for row in results["claims"].itertuples():
        if row.sentence not in text:
            paths = " and ".join(str(path) for path in CLAIMS if row.section in Claims(path).sections())
            sections = ", ".join(context["said"])
            raise UserError(f"{paths}: the report has no section {row.section!r}; choose one of: {sections}")
    write_text(REPORT / "report.md", text)
    write_text(REPORT / "findings.md", markdown(context, "findings.md.j2"))
    for name, chart in drawn.items():
        write_text(REPORT / f"figures/{name}.svg", svg(chart))
    generator = read_json(Path("report/generator.json"))
    shown = {at_epoch(epoch): picture(path) for epoch, path in grids.items()}
    html = page(text, lambda source: picture(REPORT / source), drawn, generator, shown)
    write_text(REPORT / "index.html", html)


def picture(path: Path) -> bytes:
    return on_any_ground(path.read_bytes())


if __name__ == "__main__":
    run(main)
