"""All that the report's templates read, from what the stages computed. Nothing is judged here: verdicts and their
sentences come from the table of claims."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from math import inf
from operator import itemgetter
from textwrap import dedent
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.gan.courses import loss_course, whole_walks
from dlreport.gan.networks import discriminator_loss, generator_loss
from dlreport.gan.samples import at_epoch
from dlreport.gan.thresholds import CLOSE_SHARE, JUDGED
from dlreport.io import read_yaml
from dlreport.report.render import listed, significant
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.sequence.claims import LSTM, VANILLA
from dlreport.sequence.curves import course
from dlreport.sequence.mean_field import INPUT, mean_field
from dlreport.sequence.memory import PROBE_SEQUENCES, PROBED
from dlreport.sequence.models import model_class
from dlreport.sequence.thresholds import CHANCE, CONVERGED, FADED, GUESS_LOSS, SATURATED
from dlreport.sequence.tracing import BATCHES, RANGE, TOP
from dlreport.statistics.claims import Claims, counts
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, refuting_runs

FROZEN = SEQUENCE_CLAIMS.with_name("frozen.yaml")
# sections of params.yaml: those that can change a number
SHOWN = {"seed", "precision", "sequence", "longer", "gradients", "ablation", "gan", "classifier", "quality"}


MARKS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", UNDECIDED: "?"}
NO_DIRECTION = 0.1  # of a cosine between two batches' gradients
FIGURES = (  # in the order of the report
    *("accuracy_by_length", "accuracy_curves", "loss_curves", "growth", "gradients", "saturation", "probe"),
    *("confusion", "accuracy_by_digit", "ablation", "ablation_curves", "study", "losses", "grids", "quality_by_epoch"),
    *("digit_shares", "closest_pairs", "interpolation", "walk", "interpolation_pairs"),
)


def _runs(params: Params) -> str:
    """How many there are of each model, in words."""
    runs = params.sequence.runs_of
    return listed([f"{runs(name)} run{'s' * (runs(name) != 1)} of the {name}" for name in params.sequence.models])


def _more_runs(params: Params) -> str:
    """The model that has more than all others, if one has."""
    first, *others = sorted(params.sequence.models, key=params.sequence.runs_of, reverse=True)
    alone = others and all(params.sequence.runs_of(other) < params.sequence.runs_of(first) for other in others)
    return first if alone else ""


def _solved(rows: list[dict[str, Any]]) -> str:
    """By how many runs each length is solved, in words."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        words = f"{round(row['solved'] * row['replicates'])} of {row['replicates']}"
        if row["length"] == rows[0]["length"]:  # the other lengths' are in the same order
            words += f"{'' if by_length else ' runs'} of the {row['model']}"
        by_length[row["length"]].append(words)
    first, *others = ((length, listed(words)) for length, words in by_length.items())
    return "; ".join([f"Length {first[0]} is solved by {first[1]}", *(f"length {n} by {words}" for n, words in others)])


def _reached(courses: list[dict[str, Any]]) -> str:
    """When the median over one model's runs is first right, in words."""
    when = [f"at step {row['reached']:,} (length {row['length']})" for row in courses if row["reached"] < inf]
    if never := [str(row["length"]) for row in courses if row["reached"] == inf]:
        when.append(f"never at length{'s' * (len(never) > 1)} {listed(never)}")
    return listed(when)


def _longest(frontier: pd.DataFrame) -> str:
    """The study's finding, in words: what each model remembers as reported, and at best."""

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


def _numbers_checked(statements: list[dict[str, Any]]) -> dict[str, Any]:
    """The statements on the published numbers, by what was measured (`kinds`), and by model and length (`tasks`)."""
    kinds, tasks = {}, defaultdict(list)
    for row in statements:
        task, _, what = row["statement"].rpartition(": ")
        kinds[row["test"]] = {**row, "what": what}
        tasks[task].append(row)
    return {"kinds": list(kinds.values()), "tasks": dict(tasks)}


def _trainings(count: int) -> str:
    return (
        "There was one training."
        if count == 1
        else f"Thin lines are the {count} trainings, thick ones their median; numbers in the text are means over them."
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, None where a cell is empty, which pandas reads as NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _model(name: str) -> dict[str, Any]:
    """What the model says of itself."""
    model = model_class(name)
    start = " = ".join(f"{part}_0" for part in model.STATE)
    return {
        **{"start": f"${start} = 0$", "beginning": model.BEGINNING, "equations": model.EQUATIONS, "gates": model.GATES},
        "code": _code(model.step),
    }


def _code(*functions: Callable[..., Any]) -> str:
    """As it stands in the source, without docstrings."""
    return "\n\n".join(
        re.sub(r'\n *""".*?"""', "", dedent(inspect.getsource(f)), flags=re.DOTALL).rstrip() for f in functions
    )


def _grid(epoch: int) -> dict[str, str]:
    return {"caption": at_epoch(epoch), "path": f"../plots/gan/grids/{epoch:04d}.png"}


def _claimed_grids(epochs: list[int]) -> list[int]:
    """Of those that were drawn the first, those of which claim 5 speaks, and the last."""
    return [epoch for epoch in epochs if epoch in {epochs[0], 40, 100, epochs[-1]}]


NAMES = {"hidden_dim": "hidden units:", "learning_rate": "learning rate"}  # of settings, where the key is no word


def _ablation_counts(table: pd.DataFrame) -> dict[str, dict[int, dict[str, int]]]:
    """By variant and length how many runs there are, how many are solved, and how many reached CONVERGED."""
    cells = table.groupby(["variant", "length"], sort=False)
    found = cells.agg(runs=("solved", "size"), solved=("solved", "sum"), reached=("reached", "count"))
    return {variant: group.droplevel(0).to_dict("index") for variant, group in found.groupby(level=0, sort=False)}


def _helping(counts: dict[str, dict[int, dict[str, int]]]) -> str:
    """Which variants solve which length in how many runs, in words."""
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


def _changes(params: Params) -> dict[str, str]:
    """By variant what it changes, in words."""
    found = {"as_reported": "nothing"}
    for variant, change in params.ablation.changes.items():
        changed = change.model_dump(exclude_unset=True)
        if clip := changed.pop("clip", None):
            norm = clip.get("max_norm", params.sequence.clip.max_norm)
            changed["clipping"] = f"to a norm of {norm:g}" if clip["mode"] == "effective" else clip["mode"]
        words = (f"{NAMES.get(key, key)} {value}" for key, value in changed.items())
        found[variant] = ", ".join(words).replace("_", " ")
    return found


def _gradients(table: pd.DataFrame) -> list[dict[str, Any]]:
    """By model, length and when, at the first time step: the growth of a sequence's gradient since the last, which
    sequences make up the mean square, saturation (over all steps), and the agreement of two batches' gradients. Medians
    over the replicates, of shares of sequences and units means."""
    cells = table.groupby(["model", "length", "when"], sort=False)
    medians = cells[["t", "growth_low", "growth_median", "growth_high", "top_share", "cosine"]]
    first = medians.apply(lambda cell: cell[cell["t"] == cell["t"].min()].median())
    means = cells[["saturated_tanh", "saturated_gates", "shrinks", "vanishes"]].mean()
    return _records(first.drop(columns="t").join(means).reset_index())


def _erratic(before: dict[str, dict[str, Any]]) -> bool:
    """Whether before training a VanillaRNN's gradient grows on its way back, but has no direction, and a LSTM's has."""
    vanilla, lstm = (before.get(model) for model in (VANILLA, LSTM))
    if vanilla is None or lstm is None:
        return False
    return vanilla["growth_median"] > 1 and abs(vanilla["cosine"]) < NO_DIRECTION < lstm["cosine"]


def _held(table: pd.DataFrame, models: list[str]) -> dict[str, list[dict[str, Any]]]:
    """By model that has gates, a row for each length: accuracy after training, with all its gates held, and with each;
    means over the replicates."""
    found = {}
    for model in models:
        if gates := model_class(model).GATES:
            columns = ["accuracy", "held_accuracy", *(f"held_{gate}_accuracy" for gate in gates)]
            rows = table[(table["model"] == model) & (table["when"] == "end")]
            found[model] = _records(rows.groupby("length", sort=False)[columns].mean().reset_index())
    return found


def _read(table: pd.DataFrame) -> dict[tuple[str, int], dict[str, list[float]]]:
    """By (model, length) and when, the share of first digits that a probe reads at each time step; means over the
    replicates."""
    means = table.groupby(["model", "length", "when", "t"], sort=False)["probe_accuracy"].mean()
    found: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(dict)
    for (model, length, when), group in means.groupby(level=[0, 1, 2], sort=False):
        found[model, length][when] = group.tolist()
    return dict(found)


def _probed_accuracy(table: pd.DataFrame) -> dict[tuple[str, int], float]:
    """By model and length the accuracy of the probed replicates."""
    answers = table[table["replicate"] < PROBED]
    right = answers["sequences"].where(answers["digit"] == answers["answer"], 0)
    cells = answers.assign(right=right).groupby(["model", "length"], sort=False)[["right", "sequences"]].sum()
    return (cells["right"] / cells["sequences"]).to_dict()


def _logged(length: int, published: dict[str, Any], steps: dict[tuple[str, int], pd.DataFrame]) -> dict[str, Any]:
    """By model and step loss and accuracy of the batch, as published and here, the median run's."""
    found = {}
    for model, lines in published.items():
        if length in lines and (model, length) in steps:
            here = steps[model, length].groupby("step")[["loss", "accuracy"]].median()
            common = [step for step in lines[length] if step in here.index]
            found[model] = {
                step: {"published": lines[length][step], "here": here.loc[step].tolist()} for step in common
            }
    return found


def _spread(values: pd.Series) -> dict[str, float | None]:
    """Of a measure of several trainings the mean, None if it was not taken, and the extremes if they differ."""
    extremes = (values.min(), values.max()) if values.nunique() > 1 else (None, None)
    mean = None if values.isna().all() else values.mean()
    return {"mean": mean, "least": extremes[0], "greatest": extremes[1]}


def _over_trainings(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """By set of images and measure."""
    measures = table.columns.drop(["images", "replicate"])
    return {
        images: {name: _spread(rows[name]) for name in measures} for images, rows in table.groupby("images", sort=False)
    }


def _quality_by_digit(table: pd.DataFrame) -> list[dict[str, Any]]:
    """By digit the share of generated and of real images that show it, and their FID; means over the trainings."""
    means = table.groupby(["images", "digit"])[["share", "fid"]].mean().astype(object)
    generated, real = (means.where(means.notna(), None).loc[images] for images in ("generator", "training images"))
    return [{"digit": d, "generated": generated.loc[d], "real": real.loc[d]} for d in generated.index]


def _walks(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each training's walk, with the digits along it."""
    digits = table.groupby("replicate")["digit"].agg(list)
    return [{**whole, "digits": digits[k]} for k, whole in whole_walks(table).to_dict("index").items()]


def build(params: Params, results: dict[str, Any]) -> dict[str, Any]:
    """`results` are the contents of the files that stages/report.py names, each under its name there. A template reads
    them under the same name, or what is put in their place here."""
    sequence, lengths = params.sequence, sorted(params.sequence.lengths)
    courses = [
        {"model": model, "length": length, **course(curve, CONVERGED, sequence.steps, sequence.average_from)}
        for (model, length), curve in results["curves"].items()
    ]
    logs = {length: _logged(length, results["published"]["sequence"]["log"], results["steps"]) for length in lengths}
    losses = results["losses"].groupby("epoch").mean()
    quality = _over_trainings(results["quality"])
    fids = _records(results["quality_by_epoch"].groupby("epoch").mean().reset_index())
    claims, of_sequences = results["claims"].astype({"claim": "Int64"}), Claims(SEQUENCE_CLAIMS)
    last = results["digit_shares"][results["digit_shares"]["epoch"] == results["digit_shares"]["epoch"].max()]
    drawn, share = _records(last.groupby("digit")["share"].mean().reset_index()), itemgetter("share")
    # what the text says first: what the published report got wrong, and the headlines
    refuted = claims["claim"].notna() & (claims["verdict"] == NOT_SUPPORTED)
    said = claims.assign(first=refuted | claims["headline"].fillna("").ne(""))
    titles = of_sequences.each("title") | Claims(GAN_CLAIMS).each("title")
    refuting = refuting_runs(sequence.test.confidence)
    irrefutable = max(sequence.runs_of(name) for name in sequence.models) < refuting
    if irrefutable:
        titles[0] += "; so few runs cannot refute them"
    rows = _records(results["comparison"].sort_values("length", kind="stable"))
    gradients = _gradients(results["gradients"])
    start = [row for row in gradients if (row["length"], row["when"]) == (lengths[-1], "start")]
    before = {row["model"]: row for row in start if row["cosine"] is not None}
    ablation = _ablation_counts(results["ablation_runs"])
    return {
        **results,
        **{name: _records(results[name]) for name in ("longer_runs", "frontier", "layers")},
        "study_found": _longest(results["frontier"]),
        "params": params,
        "settings": pd.json_normalize(params.model_dump(include=SHOWN, exclude_unset=True)).to_dict("records")[0],
        # what was judged
        "claims": {claim: group.to_dict("records") for claim, group in claims.groupby("claim")},
        "ours": claims[claims["claim"].isna()].to_dict("records"),
        "counts": counts(claims),
        "said": defaultdict(list, {section: _records(group) for section, group in said.groupby("section")}),
        "claimed": of_sequences.each("published") | Claims(GAN_CLAIMS).each("published"),
        "claim_of_length": {length: claim for claim, found in of_sequences.each("lengths").items() for length in found},
        "titles": titles,
        "irrefutable": irrefutable,
        "refuting_runs": refuting,
        "numbers_checked": _numbers_checked(claims[claims["claim"] == 0].to_dict("records")),
        "headlines": [f"{words}." for words in claims["headline"].dropna() if words],
        "frozen": read_yaml(FROZEN),
        "marks": MARKS,
        "numbers": {name: number for number, name in enumerate(FIGURES, 1)},
        "runs": _runs(params),
        "more_runs": _more_runs(params),
        "runs_of_each": f"There are {_runs(params)} at each length.",
        # thresholds
        "converged": CONVERGED,
        "saturated": SATURATED,
        "faded": FADED,
        "exploded": 1 / FADED,
        "range": RANGE,
        "top": TOP,
        "batches": BATCHES,
        "probe_sequences": PROBE_SEQUENCES,
        "probed": PROBED,
        "close_share": CLOSE_SHARE,
        "judged": JUDGED,
        "guess_accuracy": CHANCE,
        "guess_loss": GUESS_LOSS,
        # part 1
        "models": {name: _model(name) for name in sequence.models},
        "window": sequence.curve_window,
        "rows": rows,
        "solved": _solved(rows),
        "by_length": {length: [row for row in courses if row["length"] == length] for length in lengths},
        "logged": {length: found for length, found in logs.items() if found},
        "gradients": gradients,
        "before": before,
        "cosines": [f"{row['cosine']:.3f} ({model})" for model, row in before.items()],
        "growing": [f"{significant(row['growth_median'])} times as large ({model})" for model, row in before.items()],
        "erratic": _erratic(before),
        "held": _held(results["gradients"], sequence.models),
        "lengths": lengths,
        "theory": mean_field(sequence.hidden_dim, INPUT),
        "read": _read(results["probe"]),
        "probed_accuracy": _probed_accuracy(results["confusion"]),
        "reached": {name: _reached([row for row in courses if row["model"] == name]) for name in sequence.models},
        "helping": _helping(ablation),
        "growths": results["ablation_growth"].set_index("variant").to_dict("index"),
        "ablation_counts": ablation,
        "changes": _changes(params),
        # part 2
        "parameters": results["layers"].groupby("network")["parameters"].sum().to_dict(),
        "courses": {
            name: loss_course(losses[name], name == "discriminator") for name in ("discriminator", "generator")
        },
        "gan_code": _code(discriminator_loss, generator_loss),
        "shown_grids": [_grid(epoch) for epoch in _claimed_grids(results["grid_epochs"])],
        "trainings": _trainings(params.gan.replicates),
        "late_losses": losses.iloc[-1].to_dict(),
        "walks": _walks(results["walks"]),
        "quality": quality,
        "rarest": min(drawn, key=share),
        "commonest": max(drawn, key=share),
        "quality_by_digit": _quality_by_digit(results["quality_by_digit"]),
        "fids": fids,
        "best": min(fids, key=lambda row: row["fid"]),
    }
