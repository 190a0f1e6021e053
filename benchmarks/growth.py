"""How the time of a training step grows with length, hidden size, batch and replicates: growth.json and growth.png.

    python benchmarks/growth.py

One thread a process. Replicates are processes of one thread, here in two workers, so 16 of them are 8 rounds: their
time is the wall time until all have done a step.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness import Competitor, Crew, calibrate
from workloads import Workload, flops, trained_models

from dlreport.errors import run
from dlreport.io import write_json
from dlreport.sequence.models import colours

WORKERS = 2
ALONE, SIDE_BY_SIDE = (Competitor("ours", "ours:build", arrangement) for arrangement in ("1", "x2"))
PANELS = {
    "length": (5, 10, 20, 40, 80),
    "hidden": (64, 128, 256, 512),
    "replicates": (1, 2, 4, 8, 16),
    "batch": (32, 128, 512),
}
LABELS = {"length": "palindrome length", "hidden": "hidden size", "replicates": "replicates", "batch": "batch size"}


@dataclass(frozen=True)
class Point:
    workload: Workload
    replicates: int = 1

    @property
    def work(self) -> int:
        """FLOPs of the products of one step of all replicates, on the worker that has most of them."""
        return flops(self.workload) * -(-self.replicates // WORKERS)

    def seconds(self, crew: Crew, steps: int) -> float:
        """Wall time until every replicate has done `steps` steps."""
        if self.replicates == 1:
            return crew.run(ALONE, self.workload, steps)
        first = -(-self.replicates // WORKERS)
        return crew.run(SIDE_BY_SIDE, self.workload, (first * steps, (self.replicates - first) * steps))


def point(model: str, panel: str, value: int) -> Point:
    """One value of one panel, all others at their default: length 20, hidden size 128, batch 128, one replicate."""
    workload = Workload(model, 20)
    return Point(workload, value) if panel == "replicates" else Point(replace(workload, **{panel: value}))


def measure(points: list[Point], repeats: int, block_seconds: float) -> dict[Point, float]:
    """Median ms a step of each point, interleaved."""
    with Crew() as crew:
        steps = {}
        for at in points:
            if at.replicates > 1:
                crew.run(SIDE_BY_SIDE, at.workload, 2)  # the second worker's model, warmed up
            rounds = at.work / flops(at.workload)
            steps[at] = max(1, round(calibrate(crew, ALONE, at.workload, block_seconds) / rounds))
        times = {at: [] for at in points}
        for _ in range(repeats):
            for at, n in steps.items():
                times[at].append(at.seconds(crew, n) / n * 1000)
    return {at: median(values) for at, values in times.items()}


def draw(rows: list[dict]):
    """Four panels, log-log; dashed: growth in proportion to the FLOPs, through the default's time."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    colour = colours(row["model"] for row in rows)
    figure = Figure(figsize=(10, 7), layout="constrained")
    for axes, (panel, values) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        for model in colour:
            ms = [row["ms"] for row in rows if (row["model"], row["panel"]) == (model, panel)]
            default = next(row for row in rows if row["model"] == model and row["default"])
            rate = default["ms"] / point(model, "length", 20).work
            axes.plot(values, ms, "o-", color=colour[model], label=model)
            dashed = [rate * point(model, panel, value).work for value in values]
            axes.plot(values, dashed, "--", color=colour[model], alpha=0.6, label=f"{model}, in proportion to FLOPs")
        axes.set(xscale="log", yscale="log", xlabel=LABELS[panel], ylabel="ms a training step")
        axes.set_xticks(values, values)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="blocks of each point; the median counts")
    parser.add_argument("--block-seconds", type=float, default=0.5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("growth.json"))
    options = parser.parse_args()
    named = [
        (model, panel, value) for model in trained_models() for panel, values in PANELS.items() for value in values
    ]
    points = list(dict.fromkeys(point(*name) for name in named))  # the default is in every panel: measured once
    ms = measure(points, options.repeats, options.block_seconds)
    rows = []
    for model, panel, value in named:
        at = point(model, panel, value)
        default = at == point(model, "length", 20)
        rows.append({"model": model, "panel": panel, "value": value, "ms": ms[at], "default": default})
        print(f"{model:>10} {LABELS[panel]:>17} {value:4d} {ms[at]:10.3f} ms a step")
    write_json(options.output, {"repeats": options.repeats, "block_seconds": options.block_seconds, "points": rows})
    draw(rows).savefig(options.output.with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    run(main)
