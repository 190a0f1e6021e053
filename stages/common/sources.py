"""What each stage's result depends on beside data and parameters: source files and versions of packages.

Of a stage's script: every module that it imports, directly or not, at whatever place; every other file of the library
that one of these names in quotes (C, headers, templates, styles); and the pinned version of every package imported. A
model is imported by its name through the registry, which no import shows: a stage that asks the registry uses the
models that its script names, or else, for each model of the pipeline's parameters, that one alone.
"""

import ast
import functools
import hashlib
import re
import sys
from collections.abc import Collection
from importlib.metadata import packages_distributions
from pathlib import Path

from dlreport.errors import UserError
from dlreport.sequence.models import MODELS

SRC = Path("src")
LIBRARY, REGISTRY = SRC / "dlreport", SRC / "dlreport/sequence/models/__init__.py"
# what of the registry loads models, and what shows their rows
LOADERS = {"dlreport.sequence.models", "dlreport.sequence.models.model_class"}
SHOWING = {"dlreport.sequence.models", "dlreport.sequence.models.MODELS", "dlreport.sequence.models.colours"}
# of C; what is in quotes is kept
COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*|/\*.*?\*/""", re.S)
OPTIONAL = {"ray"}  # of no pinned version: it changes no number


def sources(script: Path, trained: Collection[str], pins: dict[str, set[str]]) -> dict[str, str]:
    """A stage's file of sources, by its name, or one by model if the stage asks the registry and names no model itself.

    `trained` are the models that the parameters name, `pins` as of `pinned`. A line for each file, its path and a hash
    of what it means, and for each package its pinned version.
    """
    choices = {f"{script.stem}.txt": MODELS.keys() & read(script, script.read_bytes())[2]}
    if REGISTRY in closure(script)[0] and not any(choices.values()):
        choices = {f"{script.stem}/{model}.txt": {model} for model in trained}
    texts = {}
    for name, models in choices.items():
        files, imported = closure(script, models)
        if REGISTRY in files and imported & SHOWING:
            files[REGISTRY] += repr([MODELS[model] for model in sorted(models)])
        lines = [f"{path} {hashlib.sha256(files[path].encode()).hexdigest()[:16]}" for path in sorted(files)]
        packages = {each.partition(".")[0] for each in imported if not modules_of(each, script.parent)}
        packages -= sys.stdlib_module_names | OPTIONAL
        if missing := [package for package in packages if not pins.get(package)]:
            raise UserError(f"requirements.txt: {min(missing)} is imported, but no version of it is there")
        lines += sorted(set().union(*(pins[package] for package in packages)))
        texts[name] = "\n".join(lines) + "\n"
    return texts


def closure(script: Path, models: Collection[str] = ()) -> tuple[dict[Path, str], set[str]]:
    """Of a script that loads these models: what each file means, and the full names of all that they import."""
    files, names, waiting = {}, set(), [script]
    others = [path for path in LIBRARY.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    while waiting:
        path = waiting.pop()
        if path not in files:
            files[path], imported, quoted = read(path, path.read_bytes())
            names |= imported
            waiting += [other for other in others if other.name in quoted]
            waiting += [module for name in imported for module in modules_of(name, script.parent)]
            if imported & LOADERS:
                waiting += [REGISTRY.with_name(f"{MODELS[model].module}.py") for model in models]
    return files, names


def modules_of(name: str, scripts: Path) -> list[Path]:
    """The modules that this import runs, those of packages on the way included; none for what is not ours."""
    parts = name.split(".")
    for root in (SRC, scripts):
        places = [root.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
        paths = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
        if found := [path for path in paths if path.is_file()]:
            return found
    return []


@functools.cache
def read(path: Path, content: bytes) -> tuple[str, set[str], set[str]]:
    """What a file means, which no comment, docstring or white space changes, what it imports, and file names in quotes.

    Of other files than Python and C every byte counts. The registry is without the models' rows. Raises UserError if
    only a run could tell what a module imports.
    """
    names, quoted = set(), set()
    if path.suffix != ".py":
        text = content.decode("latin-1")  # of any bytes
        text = without_comments(text) if path.suffix in (".c", ".h") else text
        return text, names, set(re.findall(r"""["'](?:[\w./-]*/)?([\w.-]+)["']""", text))
    try:
        tree = ast.parse(content, path)
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}: not valid Python: {error}") from error
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                quoted.add(text.rpartition("/")[2])
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(level=0) if node.names[0].name != "*":
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=name)]):
                names.add(name)
            case (
                ast.ImportFrom()
                | ast.Call(func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"))
            ) if path != REGISTRY:
                raise UserError(
                    f"{path}: line {node.lineno}: an import is to be by the full name, without * or dots before"
                )
    if path == REGISTRY:
        tree.body = [node for node in tree.body if not re.match(r"MODELS\b", ast.unparse(node))]
    return repr(skeleton(tree)), names, quoted


def skeleton(node: object) -> object:
    """A syntax tree as nested tuples, without docstrings, positions, and fields that are empty: those differ between
    Python's versions."""
    if isinstance(node, list):
        texts = [item for item in node if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)]
        return tuple(skeleton(item) for item in node if item not in texts)
    if not isinstance(node, ast.AST):
        return node
    fields = [field for field in ast.iter_fields(node) if field[1] not in (None, []) and field[0] != "kind"]
    return type(node).__name__, *((name, skeleton(value)) for name, value in fields)


def without_comments(text: str) -> str:
    """C with one space for white space, but in quotes, and where a line with # ends."""
    text = COMMENT.sub(lambda found: found[1].replace(" ", "\0") if found[1] else " ", text).replace("\\\n", " ")
    lines = [(line.split(), "\n" * line.lstrip().startswith("#")) for line in text.split("\n")]
    return " ".join(" ".join(words) + end for words, end in lines if words)


def pinned(requirements: Path) -> dict[str, set[str]]:
    """Of each package that is installed NAME==VERSION of the distributions that it is imported from."""
    pins = re.findall(r"^[\w.-]+==[^\s;]+", requirements.read_text(), flags=re.M)
    by_name = {pin.partition("==")[0].lower(): pin for pin in pins}
    installed = packages_distributions().items()
    return {package: {by_name[n.lower()] for n in names if n.lower() in by_name} for package, names in installed}
