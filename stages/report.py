"""Write the report from what the other stages computed, and the list of their runs."""

from pathlib import Path

from common.stage import run
from common.tables import read_tables
from dlreport.config import load_params
from dlreport.io import read_csv, read_json, read_yaml, write_text
from dlreport.manifest import read_entries, table
from dlreport.report.context import Results, build
from dlreport.report.render import markdown, page

REPORT, MANIFEST, FRONTIER = Path("report"), Path("manifest"), Path("studies/frontier")
SEQUENCE, GAN = Path("plots/sequence"), Path("plots/gan")


def main() -> None:
    params = load_params()
    results = Results(
        published=read_yaml(Path("published.yaml")),
        comparison=read_csv(SEQUENCE / "comparison.csv"),
        curves=read_tables(SEQUENCE / "curves", params.sequence.models, params.sequence.lengths),
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
        ablation=read_csv(Path("plots/ablation/comparison.csv")),
        gradients=read_csv(Path("plots/gradients/by_time_step.csv")),
        frontier=read_csv(FRONTIER / "longest.csv"),
        study=read_yaml(FRONTIER / "params.yaml"),
    )
    context = build(params, results)
    text = markdown(context)
    write_text(REPORT / "report.md", text)
    write_text(REPORT / "findings.md", markdown(context, "findings.md.j2"))
    generator = read_json(Path("models/explorer.json"))

    def picture(source: str) -> bytes:
        return (REPORT / source).read_bytes()

    write_text(REPORT / "index.html", page(text, picture, generator, "../manifest/index.html"))

    # What each stage ran on is no dependency and no output: it changes with every run, and no result with it.
    tasks = [f"{name}-{length}" for name, length in results.curves]
    tasks += [f"{variant}-{length}" for variant in params.ablation.variants for length in params.ablation.lengths]
    list_of_runs = table(read_entries(MANIFEST, tasks))
    write_text(MANIFEST / "README.md", list_of_runs)
    write_text(MANIFEST / "index.html", page(list_of_runs, picture))


if __name__ == "__main__":
    run(main)
