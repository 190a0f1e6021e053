"""What each stage's result depends on beside data and parameters: source files and versions of packages.

Of a stage's script: every module that it imports, directly or not, at whatever place; every file beside a module that
the module names (C, templates, styles), and what those include; and the pinned version of every package imported. A
model is imported by its name through the registry, which no import shows: a stage that asks the registry uses the
models that its script names, or else, for each model of the pipeline's parameters, that one alone.
"""

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions
from pathlib import Path

from dlreport.errors import UserError
from dlreport.sequence.models import MODELS

SRC = Path("src")
REGISTRY, LOADER = SRC / "dlreport/sequence/models/__init__.py", "dlreport.sequence.models.model_class"
BESIDE = (".c", ".h", ".j2", ".css", ".js")
# how those include one another
INCLUDE = re.compile(
    r"""^[ ]*\#include[ ]"(.+?)" | \{%-?[ ]*(?:include|extends|from|import)[ ]+"(.+?)" """, re.M | re.X
)
COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.S)  # of C; strings are kept
OPTIONAL = {"ray"}  # of no pinned version: they change no number


@dataclass
class Closure:
    """All that a script's result follows from."""

    files: set[Path] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)  # as they are imported

    def lines(self, models: Collection[str], pins: dict[str, str]) -> list[str]:
        """A line for each file, its path and what it says, and for each package its pinned version."""
        distributions = {name for package in self.packages for name in installed().get(package, [package])}
        if missing := {name for name in distributions if name.lower() not in pins}:
            raise UserError(f"requirements.txt: {min(missing)} is imported, but no version of it is there")
        files = [f"{path} {meaning(path, models)}" for path in sorted(self.files)]
        return [*files, *sorted(f"{name}=={pins[name.lower()]}" for name in distributions)]


@functools.cache
def installed() -> dict[str, list[str]]:
    """The distributions by the packages that are imported from them."""
    return packages_distributions()


def closure(script: Path, models: Collection[str] = ()) -> Closure:
    """Of a script that loads these models."""
    found, waiting = Closure(), [script]
    while waiting:
        path = waiting.pop()
        if path in found.files:
            continue
        found.files.add(path)
        if path.suffix == ".py":
            names, texts = mentioned(path.read_text())
            waiting += [beside for text in texts if (beside := path.with_name(text)).is_file()]
            for name in names:
                modules = files_of(name, script.parent)
                waiting += modules
                if name == LOADER:
                    waiting += [REGISTRY.with_name(f"{MODELS[model].module}.py") for model in models]
                package = name.partition(".")[0]
                if not modules and package not in OPTIONAL and package not in sys.stdlib_module_names:
                    found.packages.add(package)
        else:
            waiting += [path.with_name("".join(names)) for names in INCLUDE.findall(path.read_text())]
    return found


@functools.cache
def mentioned(text: str) -> tuple[list[str], list[str]]:
    """By a module: dotted names that it imports, each with what it is imported from, and strings that name a file of a
    kind that is no module."""
    names, strings = [], []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(BESIDE):
            strings.append(node.value)
    return names, strings


def files_of(name: str, scripts: Path) -> list[Path]:
    """The modules that this import runs, those of packages on the way included; none for what is not ours."""
    parts = name.split(".")
    for root in (SRC, scripts):
        places = [root.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
        paths = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
        if found := [path for path in paths if path.is_file()]:
            return found
    return []


def meaning(path: Path, models: Collection[str]) -> str:
    """A hash that no comment, docstring or white space changes; of other files than Python and C the bytes'.

    The registry is counted by the lines of these models alone.
    """
    text = path.read_text()
    if path.suffix == ".py":
        text = without_comments(text, tuple(models) if path == REGISTRY else None)
    elif path.suffix in (".c", ".h"):
        text = " ".join(COMMENT.sub(r"\1 ", text).split())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def without_comments(text: str, models: tuple[str, ...] | None) -> str:
    """A module's meaning; of a registry with the rows of these models alone."""
    tree = ast.parse(text)
    if models is not None:
        (rows,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "MODELS")
        kept = [row for row in zip(rows.keys, rows.values, strict=True) if row[0].value in models]
        rows.keys, rows.values = [key for key, _ in kept], [value for _, value in kept]
    return repr(skeleton(tree))


def skeleton(node: object) -> object:
    """A syntax tree as nested tuples, without docstrings, positions, and fields that are empty: those differ between
    Python's versions."""
    if isinstance(node, list):
        return tuple(skeleton(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind"}
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
        fields["body"] = node.body[1:]
    return type(node).__name__, *((name, skeleton(value)) for name, value in fields.items())


def pinned(requirements: Path) -> dict[str, str]:
    """Versions by package, its name in lower case."""
    return {
        name.lower(): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", requirements.read_text(), flags=re.M)
    }


def sources(script: Path, trained: Collection[str], pins: dict[str, str]) -> dict[str | None, str]:
    """The text of a stage's file of sources: one, or by model if the stage asks the registry and names no model itself.

    `trained` are the models that the parameters name.
    """
    constants = (node.value for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Constant))
    named = [value for value in constants if isinstance(value, str) and value in MODELS]
    by_model = REGISTRY in closure(script).files and not named
    choices = {model: [model] for model in trained} if by_model else {None: named}
    return {key: "\n".join(closure(script, models).lines(models, pins)) + "\n" for key, models in choices.items()}
