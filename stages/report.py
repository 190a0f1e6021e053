"""Write the report from what the other stages computed."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.errors import run
from dlreport.io import read_csv, read_json, read_yaml, write_text
from dlreport.report.context import Results, build
from dlreport.report.render import markdown, page

REPORT, SEQUENCE, GAN = Path("report"), Path("plots/sequence"), Path("plots/gan")


def main() -> None:
    params = load_params()
    cells = [f"{model}-{length}" for model in params.sequence.models for length in params.sequence.lengths]
    results = Results(
        published=read_yaml(Path("published.yaml")),
        comparison=read_csv(SEQUENCE / "comparison.csv"),
        curves={cell: read_csv(SEQUENCE / f"curves/{cell}.csv") for cell in cells},
        gan_metrics=read_json(Path("metrics/gan/training.json")),
        gan_losses=read_csv(GAN / "losses.csv"),
        gan_layers=read_csv(GAN / "layers.csv"),
        # A directory that one stage writes whole: nothing stale can be in it.
        grid_epochs=sorted(int(path.stem) for path in (GAN / "grids").glob("*.png")),
        interpolation=read_json(Path("metrics/gan/interpolation.json")),
    )
    text = markdown(build(params, results))
    write_text(REPORT / "report.md", text)
    write_text(REPORT / "index.html", page(text, lambda source: (REPORT / source).read_bytes()))


if __name__ == "__main__":
    run(main)
