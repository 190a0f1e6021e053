"""The files in sources/: a stage's file changes if, and only if, something changes that the stage uses.

What a stage uses is seen at its run: Python tells which modules it executes, and which files it opens.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from dvc.repo import Repo

import frontier
import sources
from dlreport.errors import UserError
from dlreport.io import read_yaml
from dlreport.sequence.models import MODELS, Entry
from helpers import dvc, needs_native, output_of, stages_run

CODE = ("src", "stages", "studies/frontier/stages")
DATA = ("data", "models", "metrics", "plots", "report", "studies", "params.yaml", "published.yaml")
REGISTRY = "src/dlreport/sequence/models/__init__.py"


installed = functools.cache(packages_distributions)  # it takes a second


@pytest.fixture
def tree(repository, tmp_path, monkeypatch) -> Path:
    """A copy of all that the files in sources/ follow from, as the current directory."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in CODE:
        shutil.copytree(repository / name, tmp_path / name, symlinks=True, ignore=ignore)
    shutil.copy(repository / "requirements.txt", tmp_path)
    (tmp_path / "studies/frontier/params.yaml").write_text("models: [VanillaRNN, LSTM]\n")
    (tmp_path / "params.yaml").write_text("sequence: {models: [VanillaRNN, LSTM]}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "packages_distributions", installed)
    return tmp_path


def code(project: Path) -> list[Path]:
    """Every source file, by its path in the project."""
    paths = (path for name in CODE for path in (project / name).rglob("*"))
    return sorted(
        path.relative_to(project)
        for path in paths
        if path.is_file() and not {"__pycache__", "dlreport.egg-info"} & set(path.parts)
    )


def changed(before: dict[Path, str]) -> set[str]:
    """The files in sources/ that are no more what they were."""
    after = sources.derive()
    return {str(path) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def of_mnist() -> str:
    """The text of one stage's file."""
    pins = sources.pinned(Path("requirements.txt"))
    (text,) = sources.Sources(Path("stages"), [], pins).files_of_stage(Path("stages/prepare_mnist.py")).values()
    return text


def commented(path: Path, text: str) -> str:
    """The same code with other comments, docstrings and blank lines; of other languages than Python and C no change."""
    if path.suffix == ".py":
        text = f'"""Another {text[3:]}' if text.startswith('"""') else f'"""A docstring."""\n{text}'
        text = re.sub(r'(:\n +""")', r"\1Another. ", text)
        text = re.sub(r"^(def|class|@)", r"\n# another comment\n\n\1", text, flags=re.M)
        return f"{text}\n\n# the last comment\n"
    if path.suffix in (".c", ".cpp", ".h"):
        return "/* Another\n   comment. */\n\n" + text.replace(";\n", ";   // another comment\n\n")
    return text


def edit(path: Path) -> None:
    """A change of what the file means, as small as there is."""
    added = {".py": "\nADDED = 1\n", ".c": "\nint added;\n", ".cpp": "\nint added;\n", ".h": "\nint added;\n"}.get(
        path.suffix, " "
    )
    path.write_text(path.read_text() + added)


def test_no_comment_docstring_or_blank_line_changes_a_file(tree):
    before, edited = sources.derive(), 0
    for path in code(tree):
        text = path.read_text()
        edited += text != commented(path, text)
        path.write_text(commented(path, text))
    assert edited == len([path for path in code(tree) if path.suffix in (".py", ".c", ".cpp", ".h")])
    assert changed(before) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = None", "x = ..."),
        ("x = []", "x = ()"),
        ("x = 'a  b'", "x = 'a b'"),
        ("def f(a=None): pass", "def f(a): pass"),
        ("if a:\n    b\n    c", "if a:\n    b\nc"),
    ],
)
def test_python_that_means_another_thing_is_told_apart(tree, one, other):
    assert sources.read(Path("a.py"), one.encode())[0] != sources.read(Path("a.py"), other.encode())[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int a = 1;", "int a = 2;"),
        ("int a;", "inta;"),
        ('char *a = "b  c";', 'char *a = "b c";'),
        ('char *a = "//b";', 'char *a = "//c";'),
        ("int a = '\"'; int b; // \"", "int a = '\"'; int c; // \""),
        ("#define A 1\nb();", "#define A 1 b();"),
    ],
)
def test_c_that_means_another_thing_is_told_apart(tree, one, other):
    assert sources.read(Path("a.c"), one.encode())[0] != sources.read(Path("a.c"), other.encode())[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("from . import errors", "src/dlreport/progress.py: line 2: "),
        ("from .errors import UserError", "src/dlreport/progress.py: line 2: "),
        ("from dlreport.errors import *", "src/dlreport/progress.py: line 2: "),
        ("import importlib; importlib.import_module(name)", "src/dlreport/progress.py: line 2: "),
        (
            "from importlib import import_module; import_module('dlreport.' + name)",
            "src/dlreport/progress.py: line 2: ",
        ),
        ("def", "src/dlreport/progress.py: not valid Python: "),
        ("'\0'", "src/dlreport/progress.py: not valid Python: "),
        ("import nobody_has_this.inside as short", "requirements.txt: no version of nobody_has_this, which"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_a_line(tree, line, message):
    (tree / "src/dlreport/progress.py").write_text(f'"""Progress."""\n{line}\n')
    with pytest.raises(UserError, match=re.escape(message)):
        of_mnist()


@pytest.mark.parametrize(
    "line",
    [
        "import dlreport.added",
        "import dlreport.added as other",
        "from dlreport import added as other",
        "from dlreport.added import NUMBER",
        "def later():\n    from dlreport.added import NUMBER as number",
        "import importlib\nadded = importlib.import_module('dlreport.added')",
        "from importlib import import_module\nadded = import_module('dlreport.added')",
    ],
)
def test_an_import_is_followed_however_it_is_written(tree, line):
    (tree / "src/dlreport/added.py").write_text("NUMBER = 1\n")
    edited = tree / "src/dlreport/gan/mnist.py"
    edited.write_text(edited.read_text() + f"\n{line}\n")
    before = of_mnist()
    (tree / "src/dlreport/added.py").write_text("NUMBER = 2\n")
    assert of_mnist() != before


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("src/dlreport/gan/added.j2", "{% include 'more.css' %}", "open('added.j2')"),
        ("src/dlreport/gan/added.json", '{"see": "more.css"}', "(__file__, 'folder/added.json')"),
        ("src/dlreport/gan/added.h", '#  include "more.css"', "PATH = 'added.h'"),
    ],
)
def test_a_file_that_is_no_module_is_followed_by_its_name(tree, file, content, line):
    edited, more = tree / "src/dlreport/gan/mnist.py", tree / "src/dlreport/gan/more.css"
    edited.write_text(edited.read_text() + f"\n{line}\n")
    (tree / file).write_text(content)
    more.write_text("a {}\n")
    texts = [of_mnist()]
    for path in (tree / file, more):
        path.write_text(path.read_text() + "\nint added;\n")
        texts.append(of_mnist())
    assert len(set(texts)) == 3


def test_files_beside_the_scripts_that_are_none_are_passed_over(tree):
    before = sources.derive()
    (tree / "stages/notes.txt").write_text("not Python")
    (tree / "stages/helper.py").write_text("NUMBER = 1\n")
    (tree / "stages/.#report.py").symlink_to("nowhere")  # an editor's lock
    assert changed(before) == set()


def test_another_model_is_nobody_elses_dependency(tree, monkeypatch):
    before = sources.derive()
    shutil.copy(tree / "src/dlreport/sequence/models/lstm.py", tree / "src/dlreport/sequence/models/other.py")
    registry = tree / REGISTRY
    registry.write_text(registry.read_text() + 'MODELS |= {"Other": Entry("other", "#000000")}\n')
    monkeypatch.setitem(MODELS, "Other", Entry("other", "#000000"))
    assert changed(before) == set()

    (tree / "params.yaml").write_text("sequence: {models: [VanillaRNN, LSTM, Other, Nobody, [no, model]]}\n")
    names = ("evaluate_sequence", "report", "train_sequence")
    assert changed(before) == {f"sources/{name}/Other.txt" for name in names}
    text = sources.derive()[Path("sources/train_sequence/Other.txt")]
    assert "models/other.py" in text
    assert "models/lstm.py" not in text


def test_a_colour_redraws_and_trains_nothing(tree, monkeypatch):
    before = sources.derive()
    monkeypatch.setitem(MODELS, "LSTM", MODELS["LSTM"]._replace(colour="#000000"))
    assert changed(before) == {"sources/report/LSTM.txt"}


@pytest.mark.parametrize(
    "params", ["- 1\n", "sequence: 3\n", "sequence: {models: LSTM}\n", "sequence: {models: [{}]}\n"]
)
def test_bad_parameters_are_left_to_the_stage_that_refuses_them(tree, params):
    (tree / "params.yaml").write_text(params)
    assert Path("sources/train_gan.txt") in sources.derive()


def test_a_package_changes_the_stages_that_import_it(tree):
    before, requirements = sources.derive(), tree / "requirements.txt"
    pinned = requirements.read_text()
    training = {str(path) for path in before if "/train" in str(path)}
    assert len(training) > 5

    requirements.write_text(re.sub("(?m)^matplotlib==.+$", "matplotlib==0.0.1", pinned))
    found = changed(before)
    assert "sources/sample_gan.txt" in found
    assert not found & training

    requirements.write_text(re.sub("(?m)^torch==.+$", "torch==0.0.1", pinned))
    assert changed(before) >= training

    requirements.write_text(re.sub("(?m)^torch==", "torch>=", pinned))
    with pytest.raises(UserError, match=r"requirements.txt: no version of torch, which is imported; add one"):
        sources.derive()


def test_no_stage_names_a_source_file_by_hand(repository):
    for folder, prefix in (("", "sources"), ("studies/frontier", "sources/frontier")):
        for name, stage in read_yaml(repository / folder / "dvc.yaml")["stages"].items():
            own = [dep for dep in stage["deps"] if re.fullmatch(rf"{prefix}/{name}(\.txt|/.+)?", dep)]
            assert (len(own), name) == (name != "sources", name)
            assert not [dep for dep in stage["deps"] if dep.endswith((".py", ".c", ".h", ".j2", ".css", ".js"))]


# What follows is slow: it runs all stages.

TRACE = """
import json, os, sys

stage, folder = os.environ.get("DVC_STAGE"), os.environ.get("TRACE")
if stage and folder:
    file = os.open(f"{folder}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def say(kind, path):
        os.write(file, (json.dumps([stage, kind, os.path.realpath(path)]) + "\\n").encode())

    def hook(event, arguments):
        if event == "exec" and arguments[0].co_name == "<module>":
            say("executed", arguments[0].co_filename)
        elif event == "open" and not isinstance(arguments[0], int) and arguments[2] & os.O_ACCMODE == os.O_RDONLY:
            say("opened", os.fsdecode(arguments[0]))
        elif event == "subprocess.Popen":
            for argument in arguments[1]:
                say("given", os.fsdecode(argument))

    sys.addaudithook(hook)
"""

# Of what a stage's file lists, what that stage does not load at these settings, and why.
ON_A_GPU = {"src/dlreport/gpu/sequence.py", "src/dlreport/gpu/update.py"}
NOT_LOADED = {
    "train_gan": {"src/dlreport/gpu/update.py"},
    **dict.fromkeys(("train_sequence", "train_longer", "train_ablation", "studies/frontier/dvc.yaml:train"), ON_A_GPU),
    "studies/frontier/dvc.yaml:draw": {  # it reads the study's settings by grid.py, which can train: this does not
        *(f"src/dlreport/native/{name}" for name in ("sequence.c", "cell.h", "common.h", "products.cpp")),
        *(f"src/dlreport/sequence/models/{name}.py" for name in ("vanilla_rnn", "lstm")),
        *ON_A_GPU,
    },
}


def not_loaded(name: str) -> set[str]:
    return NOT_LOADED.get(name.partition("@")[0], set())


class Traced:
    """A tiny project after its first runs of both pipelines, the stages of which were traced, worker processes too."""

    def __init__(self, project: Path, folder: Path):
        self.project = project
        (folder / "trace").mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(TRACE)
        environment = {
            "PYTHONPATH": f"{folder}{os.pathsep}{project / 'src'}",
            "TRACE": str(folder / "trace"),
            "DLREPORT_WORKERS": "2",
        }
        frontier.make(project, frontier.TINY)
        dvc(project, "repro", "studies/frontier/dvc.yaml", **environment)
        dvc(project, "repro", **environment)
        self.seen = defaultdict(set)
        for path in (folder / "trace").iterdir():
            for line in path.read_text().splitlines():
                stage, kind, name = json.loads(line)
                if (found := Path(name)).is_relative_to(project) and found.is_file():
                    self.seen[stage, kind].add(str(found.relative_to(project)))
        self.processes = len([*(folder / "trace").iterdir()])
        files = {stage: os.path.relpath(stage.path, project) for stage in Repo(project).index.stages}
        self.stages = {
            stage.name if file == "dvc.yaml" else f"{file}:{stage.name}": stage for stage, file in files.items()
        }

    def paths(self, found: list) -> set[Path]:
        """Of a stage's dependencies or outputs."""
        return {Path(each.fs_path).relative_to(self.project) for each in found}

    def sources(self, name: str) -> list[Path]:
        """The stage's files in sources/."""
        own = [self.project / path for path in self.paths(self.stages[name].deps) if path.parts[0] == "sources"]
        return [path for place in own for path in ([place] if place.is_file() else place.rglob("*.txt"))]

    def listed(self, name: str) -> set[str]:
        lines = [line.split() for path in self.sources(name) for line in path.read_text().splitlines()]
        return {line[0] for line in lines if len(line) == 2}

    def loaded(self, name: str) -> set[str]:
        """Modules, templates and the like, and what the compiler was given and included."""
        opened = {path for path in self.seen[name, "opened"] if not path.endswith((".py", ".pyc", ".c", ".cpp", ".h"))}
        loaded = {path for path in self.seen[name, "executed"] | opened if path.startswith(CODE)}
        for source in (path for path in self.seen[name, "given"] if path.endswith((".c", ".cpp"))):
            rule = subprocess.run(["cc", "-MM", source], cwd=self.project, capture_output=True, text=True, check=True)
            loaded |= set(rule.stdout.replace("\\\n", " ").split()[1:])
        return loaded


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> Traced:
    folder = tmp_path_factory.mktemp("sources").resolve()
    return Traced(folder / "project", folder / "hook")


def of_pipeline(traced: Traced) -> list[str]:
    return [name for name in traced.stages if name != "sources"]


@pytest.mark.slow
@needs_native("sequence.c", "fp32")
def test_a_stages_file_lists_what_the_stage_loads(traced):
    assert len(of_pipeline(traced)) > 20
    assert traced.processes > len(traced.stages)  # workers were traced
    for name in of_pipeline(traced):
        assert (traced.loaded(name), name) == (traced.listed(name) - not_loaded(name), name)


@pytest.mark.slow
@needs_native("sequence.c", "fp32")
def test_a_change_changes_the_files_of_the_stages_that_load_it(traced, monkeypatch):
    monkeypatch.chdir(traced.project)
    monkeypatch.setattr(sources, "packages_distributions", installed)
    before = sources.derive()
    files = {name: {str(path.relative_to(traced.project)) for path in traced.sources(name)} for name in traced.stages}
    loaded = {name: traced.loaded(name) | not_loaded(name) for name in of_pipeline(traced)}
    for path in code(traced.project):
        users = {name for name, paths in loaded.items() if str(path) in paths}
        content = path.read_bytes()
        edit(path)
        found = changed(before)
        path.write_bytes(content)
        assert ({name for name in loaded if files[name] & found}, path) == (users, path)


@pytest.mark.slow
def test_the_data_that_a_stage_opens_are_declared(traced):
    for name, stage in traced.stages.items():
        known = traced.paths([*stage.deps, *stage.outs])
        opened = {path for path in map(Path, traced.seen[name, "opened"]) if str(path).startswith(DATA)}
        data = {path for path in opened if not str(path).startswith(CODE)}
        unknown = {str(path) for path in data if not {path, *path.parents} & known}
        assert (unknown, name) == (set(), name)
        assert data or name == "sources"


@pytest.mark.slow
def test_dvc_runs_nothing_for_a_comment_and_a_constants_users_for_a_constant(traced):
    """With DVC alone, and with several stages at a time."""
    project = traced.project
    for path in code(project):
        (project / path).write_text(commented(path, (project / path).read_text()))
    assert stages_run(dvc(project, "repro", "studies/frontier/dvc.yaml")) == ["sources"]
    assert stages_run(dvc(project, "repro")) == []

    edit(project / "src/dlreport/gan/walk.py")
    jobs = [sys.executable, "tools/repro.py", "--jobs", "2"]
    ran = re.findall(r"^Running stage '(.+)' \(", output_of(jobs, project), flags=re.M)
    assert ran == ["sources", "interpolate_gan"]  # which leaves the same numbers
