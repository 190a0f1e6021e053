"""Makes what the templates read on Part 1, from what the stages computed."""

from collections import defaultdict
from math import inf
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.report.render import listed, significant
from dlreport.report.shared import Row, records, source_code
from dlreport.sequence.claims import EXPLODED, Key
from dlreport.sequence.curves import course
from dlreport.sequence.mean_field import INPUT, mean_field
from dlreport.sequence.memory import PROBE_SEQUENCES, PROBED
from dlreport.sequence.models import model_class
from dlreport.sequence.thresholds import CHANCE, CONVERGED, FADED, GUESS_LOSS, SATURATED
from dlreport.sequence.tracing import RANGE, TOP

SETTINGS = {"hidden_dim": "hidden units:", "learning_rate": "learning rate"}  # words for keys that are not words


def context(params: Params, results: dict[str, Any]) -> dict[str, Any]:
    """Return what the templates read on Part 1, by name. `results` are those that context.build takes."""
    lengths = sorted(params.sequence.lengths)
    return {
        "lengths": lengths,
        "models": {name: _model(name) for name in params.sequence.models},
        "window": params.sequence.curve_window,
        "guess_accuracy": CHANCE,
        "guess_loss": GUESS_LOSS,
        **_runs(params),
        **_accuracies(params, results, lengths),
        **_gradients(params, results["gradients"], lengths[-1]),
        "probe_sequences": PROBE_SEQUENCES,
        "probed": PROBED,
        "digits_read": _digits_read(results["probe"]),
        "probed_accuracy": _probed_accuracy(results["confusion"]),
        **_variants(params, results),
        "study": results["study"],
        "study_found": _longest(results["frontier"]),
        "longest_rows": records(results["frontier"]),
    }


def _model(name: str) -> dict[str, Any]:
    """Return what the model's class says of it: its equations, its gates, and the code of its time step."""
    model = model_class(name)
    start = " = ".join(f"{part}_0" for part in model.STATE)
    return {
        "start": f"${start} = 0$",
        "beginning": model.BEGINNING,
        "equations": model.EQUATIONS,
        "gates": model.GATES,
        "code": source_code(model.step),
    }


def _runs(params: Params) -> dict[str, str]:
    """Say in words how many runs each model has, and name the model that has more runs than all others, if one has."""
    runs = params.sequence.runs_of
    words = listed([f"{runs(name)} run{'s' * (runs(name) != 1)} of the {name}" for name in params.sequence.models])
    first, *others = sorted(params.sequence.models, key=runs, reverse=True)
    alone = others and all(runs(other) < runs(first) for other in others)
    return {
        "runs_in_words": words,
        "runs_of_each": f"There are {words} at each length.",
        "model_with_more_runs": first if alone else "",
    }


# Accuracies and losses


def _accuracies(params: Params, results: dict[str, Any], lengths: list[int]) -> dict[str, Any]:
    """Return our accuracies beside the published ones, and the course of each training."""
    sequence = params.sequence
    courses = [
        {"model": model, "length": length, **course(curve, CONVERGED, sequence.steps, sequence.average_from)}
        for (model, length), curve in results["curves"].items()
    ]
    logs = {length: _logged(length, results["published"]["sequence"]["log"], results["steps"]) for length in lengths}
    rows = records(results["comparison"].sort_values("length", kind="stable"))
    return {
        "converged": CONVERGED,
        "accuracy_rows": rows,
        "solved_in_words": _solved(rows),
        "courses_of_length": {length: [row for row in courses if row["length"] == length] for length in lengths},
        "first_reached": {name: _reached([row for row in courses if row["model"] == name]) for name in sequence.models},
        "published_logs": {length: found for length, found in logs.items() if found},
        "longer_rows": records(results["longer_runs"]),
    }


def _solved(rows: list[Row]) -> str:
    """Say in words how many runs solve each length."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        words = f"{round(row['solved'] * row['replicates'])} of {row['replicates']}"
        if row["length"] == rows[0]["length"]:  # at the other lengths the models are in the same order
            words += f"{'' if by_length else ' runs'} of the {row['model']}"
        by_length[row["length"]].append(words)
    first, *others = ((length, listed(words)) for length, words in by_length.items())
    return "; ".join([f"Length {first[0]} is solved by {first[1]}", *(f"length {n} by {words}" for n, words in others)])


def _reached(courses: list[Row]) -> str:
    """Say in words at which step the median run of a model first reaches CONVERGED, for each length."""
    when = [f"at step {row['reached']:,} (length {row['length']})" for row in courses if row["reached"] < inf]
    if never := [str(row["length"]) for row in courses if row["reached"] == inf]:
        when.append(f"never at length{'s' * (len(never) > 1)} {listed(never)}")
    return listed(when)


def _logged(length: int, published: dict[str, Any], steps: dict[Key, pd.DataFrame]) -> dict[str, Any]:
    """Return the loss and accuracy of a batch by model and step, as published and as ours. Ours, under `here`, are
    medians over the runs."""
    found = {}
    for model, lines in published.items():
        if length in lines and (model, length) in steps:
            here = steps[model, length].groupby("step")[["loss", "accuracy"]].median()
            common = [step for step in lines[length] if step in here.index]
            found[model] = {
                step: {"published": lines[length][step], "here": here.loc[step].tolist()} for step in common
            }
    return found


# Gradients and memory


def _gradients(params: Params, table: pd.DataFrame, longest: int) -> dict[str, Any]:
    rows = _gradient_rows(table)
    told = [row for row in rows if row["length"] == longest and row["cosine"] is not None]
    before, halfway = ([row for row in told if row["when"] == when] for when in ("start", "halfway"))
    return {
        "faded": FADED,
        "exploded": EXPLODED,
        "saturated": SATURATED,
        "sequence_range": RANGE,
        "top": TOP,
        "theory": mean_field(params.sequence.hidden_dim, INPUT),
        "gradient_rows": rows,
        "growths_before": [f"{significant(row['growth_median'])} times as large ({row['model']})" for row in before],
        "cosines_before": _cosines(before),
        "cosines_halfway": _cosines(halfway),
        "held_gates": _held_gates(table, params.sequence.models),
    }


def _gradient_rows(table: pd.DataFrame) -> list[Row]:
    """Return a row for each model, length and `when`.

    A row has medians over the replicates of three values at the first time step: a sequence's gradient as a multiple of
    that at the last time step, the share of the mean square that the top sequences make up, and the agreement of two
    batches' gradients. Shares of sequences, and of units over all time steps, are means over the replicates.
    """
    groups = table.groupby(["model", "length", "when"], sort=False)
    medians = groups[["t", "growth_low", "growth_median", "growth_high", "top_share", "cosine"]]
    first = medians.apply(lambda group: group[group["t"] == group["t"].min()].median())
    means = groups[["saturated_tanh", "saturated_gates", "shrinks", "vanishes"]].mean()
    return records(first.drop(columns="t").join(means).reset_index())


def _cosines(rows: list[Row]) -> list[str]:
    return [f"{round(row['cosine'], 3) + 0:.3f} ({row['model']})" for row in rows]  # + 0 makes 0 of -0


def _held_gates(table: pd.DataFrame, models: list[str]) -> dict[str, list[Row]]:
    """Return the accuracies of each model with gates, with a row for each length: after training, with all its gates
    held, and with each gate held alone. They are means over the replicates."""
    found = {}
    for model in models:
        if gates := model_class(model).GATES:
            columns = ["accuracy", "held_accuracy", *(f"held_{gate}_accuracy" for gate in gates)]
            rows = table[(table["model"] == model) & (table["when"] == "end")]
            found[model] = records(rows.groupby("length", sort=False)[columns].mean().reset_index())
    return found


def _digits_read(table: pd.DataFrame) -> dict[Key, dict[str, list[float]]]:
    """Return the share of first digits that a probe reads at each time step, by task and `when`. The shares are means
    over the replicates."""
    means = table.groupby(["model", "length", "when", "t"], sort=False)["probe_accuracy"].mean()
    found: dict[Key, dict[str, list[float]]] = defaultdict(dict)
    for (model, length, when), group in means.groupby(level=[0, 1, 2], sort=False):
        found[model, length][when] = group.tolist()
    return dict(found)


def _probed_accuracy(table: pd.DataFrame) -> dict[Key, float]:
    """Return the accuracy of the probed replicates, by task."""
    answers = table[table["replicate"] < PROBED]
    right = answers["sequences"].where(answers["digit"] == answers["answer"], 0)
    sums = answers.assign(right=right).groupby(["model", "length"], sort=False)[["right", "sequences"]].sum()
    return (sums["right"] / sums["sequences"]).to_dict()


# The variants of the VanillaRNN, and the study


def _variants(params: Params, results: dict[str, Any]) -> dict[str, Any]:
    counts = _variant_counts(results["ablation_runs"])
    return {
        "variant_counts": counts,
        "variant_changes": _variant_changes(params),
        "variant_growths": results["ablation_growth"].set_index("variant").to_dict("index"),
        "helping_variants": _helping(counts),
    }


def _variant_counts(table: pd.DataFrame) -> dict[str, dict[int, dict[str, int]]]:
    """Count, by variant and length, the runs, those that solve the length, and those that reach CONVERGED."""
    groups = table.groupby(["variant", "length"], sort=False)
    found = groups.agg(runs=("solved", "size"), solved=("solved", "sum"), reached=("reached", "count"))
    return {variant: group.droplevel(0).to_dict("index") for variant, group in found.groupby(level=0, sort=False)}


def _helping(counts: dict[str, dict[int, dict[str, int]]]) -> str:
    """Say in words which variants solve which length, and in how many runs."""
    found: dict[int, list[str]] = defaultdict(list)
    for variant, by_length in counts.items():
        for length, n in by_length.items():
            if n["solved"]:
                found[length].append(f"*{variant.replace('_', ' ')}* ({n['solved']} of {n['runs']} runs)")
    words = [
        f"Length {length} is solved by the variant{'s' * (len(found[length]) > 1)} {listed(found[length])}."
        for length in sorted(found)
    ]
    return " ".join(words) or "No variant solves any length."


def _variant_changes(params: Params) -> dict[str, str]:
    """Say in words what each variant changes."""
    found = {"as_reported": "nothing"}
    for variant, change in params.ablation.changes.items():
        changed = change.model_dump(exclude_unset=True)
        if clip := changed.pop("clip", None):
            norm = clip.get("max_norm", params.sequence.clip.max_norm)
            changed["clipping"] = f"to a norm of {norm:g}" if clip["mode"] == "effective" else clip["mode"]
        words = (f"{SETTINGS.get(key, key)} {value}" for key, value in changed.items())
        found[variant] = ", ".join(words).replace("_", " ")
    return found


def _longest(frontier: pd.DataFrame) -> str:
    """Say in words what the study found: the longest length that each model solves, as reported and at best."""

    def longest(length: int) -> str:
        return f"lengths up to {length}" if length else "no length"

    words = []
    for model, rows in frontier.groupby("model", sort=False):
        lengths = rows["longest"].fillna(0).astype(int)
        reported = lengths[(rows["initialisation"] == "as_reported") & (rows["clip"] == "off")]
        each = {"as reported": reported, "at best": lengths}
        told = [f"{longest(found.max())} {how}" for how, found in each.items() if len(found)]
        words.append(f"most runs of the {model} solve {' and '.join(told)}")
    return "; ".join(words)
