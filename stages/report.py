"""Write the report from what the other stages computed."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.io import read_csv, read_json, read_yaml, write_text
from dlreport.manifest import common, table
from dlreport.report.context import Results, build
from dlreport.report.render import markdown, page
from stage import run

REPORT, MANIFEST, FRONTIER = Path("report"), Path("manifest"), Path("studies/frontier")
SEQUENCE, GAN = Path("plots/sequence"), Path("plots/gan")


def main() -> None:
    params = load_params()
    cells = [f"{model}-{length}" for model in params.sequence.models for length in params.sequence.lengths]
    runs = {path.stem: read_json(path) for path in sorted(MANIFEST.glob("*.json"))}
    variants = [f"{variant}-{length}" for variant in params.ablation.variants for length in params.ablation.lengths]
    now = {*cells, *variants}  # of cells that were since removed an entry may be left
    runs = {name: values for name, values in runs.items() if "@" not in name or name.partition("@")[2] in now}
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
        walk=read_csv(GAN / "interpolation.csv"),
        classifier=read_json(Path("metrics/classifier.json")),
        quality=read_csv(GAN / "quality.csv"),
        quality_by_epoch=read_csv(GAN / "quality_by_epoch.csv"),
        claims=read_csv(Path("plots/claims.csv")),
        longer=read_csv(Path("plots/longer/replicates.csv")),
        longer_curve=read_csv(Path("plots/longer/curves.csv")),
        ablation=read_csv(Path("plots/ablation/comparison.csv")),
        gradients=read_csv(Path("plots/gradients/by_time_step.csv")),
        frontier=read_csv(FRONTIER / "longest.csv"),
        study=read_yaml(FRONTIER / "params.yaml"),
        machine=common(runs),
    )
    list_of_runs = table(runs)
    write_text(MANIFEST / "README.md", list_of_runs)
    write_text(MANIFEST / "index.html", page(list_of_runs, lambda _: b""))

    def read(source: str) -> bytes:
        return (REPORT / source).read_bytes()

    generator = read_json(Path("models/explorer.json"))
    text = markdown(build(params, results))
    write_text(REPORT / "report.md", text)
    write_text(REPORT / "index.html", page(text, read, generator, "../manifest/index.html"))


if __name__ == "__main__":
    run(main)
