"""Compare all models and lengths: their accuracy with the published numbers, and gradients, saturation and memory."""

from pathlib import Path

from common.stage import run
from common.tables import merged, read_tables

from dlreport.config import load_params
from dlreport.io import read_yaml, write_csv, write_metrics
from dlreport.sequence.comparison import comparison_table, runs_table
from dlreport.sequence.curves import thinned, with_growth

PLOTS, GRADIENTS, MEMORY = Path("plots/sequence"), Path("plots/gradients"), Path("plots/memory")


def main() -> None:
    settings = load_params().sequence
    published = read_yaml(Path("published.yaml"))["sequence"]
    folders = [PLOTS / "replicates", PLOTS / "curves", GRADIENTS / "by_task", MEMORY / "probe", MEMORY / "confusion"]
    replicates, curves, traced, probes, answers = (
        read_tables(folder, settings.models, settings.lengths) for folder in folders
    )
    write_csv(PLOTS / "comparison.csv", comparison_table(replicates, published, settings.test.confidence))
    write_csv(PLOTS / "runs.csv", runs_table(replicates, published))
    write_csv(PLOTS / "curves.csv", merged({task: thinned(curve) for task, curve in curves.items()}))
    gradients = with_growth(merged(traced))
    write_csv(GRADIENTS / "by_time_step.csv", gradients)
    write_csv(MEMORY / "probe.csv", merged(probes))
    write_csv(MEMORY / "confusion.csv", merged(answers))
    longest = gradients[(gradients["length"] == max(settings.lengths)) & (gradients["when"] == "end")]
    shares = longest.groupby("model", sort=False)["saturated_tanh"].mean()
    metrics = {f"saturated_tanh_{model}": float(share) for model, share in shares.items()}
    write_metrics(Path("metrics/gradients.json"), metrics)


if __name__ == "__main__":
    run(main)
