"""results.png from results.json: ms a step of every competitor on every workload.

python benchmarks/figure.py
"""

from pathlib import Path

from matplotlib.figure import Figure
from workloads import OTHERS, PEERS, peers_of

from dlreport.errors import run
from dlreport.io import read_json

COLOURS = {"notebook": "#999999", " / ".join(PEERS.values()): "#d95f02"}
COLOURS |= dict(zip(OTHERS, ("#e7298a", "#7570b3"), strict=True)) | {"here": "#1f77b4"}
BF16 = "#7fb8e0"


def _columns(entry: dict) -> dict[str, float | None]:
    """Label of a bar -> ms a step, None where it was not measured."""
    values = (entry["notebook_ms"], *peers_of(entry), entry["ms"])
    return dict(zip(COLOURS, values, strict=True)) | {"here, bf16": entry["ms_bf16"]}


def bars(results: dict) -> Figure:
    """Bars by workload on a log scale, each with its ms; a tick shows the floor, the matrix products alone."""
    entries = results["cells"]
    rows = [_columns(entry) for entry in entries]
    labels = [label for label in rows[0] if any(row[label] for row in rows)]
    colours = COLOURS | {"here, bf16": BF16}
    figure = Figure(figsize=(max(5, 1.5 * len(entries) + 1), 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_yscale("log")
    width = 0.84 / max(len(labels), 1)
    for index, label in enumerate(labels):
        shift = (index - (len(labels) - 1) / 2) * width
        at = [(x + shift, row[label]) for x, row in enumerate(rows) if row[label]]
        drawn = axes.bar([x for x, _ in at], [ms for _, ms in at], 0.94 * width, color=colours[label], label=label)
        axes.bar_label(drawn, fmt="%.3g", fontsize=6, padding=1)
    for x, entry in enumerate(entries):
        if entry["floor_ms"]:
            label = "floor: its fp32 products alone, at the best rate" if x == 0 else None
            axes.hlines(entry["floor_ms"], x - 0.45, x + 0.45, color="black", linewidth=1.2, label=label)
    axes.set_xticks(range(len(entries)), [entry["name"].replace("-", "\n") for entry in entries])
    axes.set_ylabel("ms a training step")
    axes.set_ymargin(0.15)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    machine = results["machine"]
    axes.set_title(f"{machine['cpu']} ({machine['cpu_capability']}), {machine['cores']} cores", fontsize=9)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def main() -> None:
    source = Path(__file__).with_name("results.json")
    bars(read_json(source)).savefig(source.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    run(main)
