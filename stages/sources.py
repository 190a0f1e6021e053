"""Refuse bad parameters; then write for each stage what its result depends on beside data and parameters: a file in
sources/, which it depends on. Like this no comment reruns anything, a changed constant its users, a new version of a
package what imports it.

Of a stage's script these are: every module that it imports, directly or not, at whatever place; every other file of the
library that one of these names in quotes (C, headers, templates, styles); and the pinned version of every package
imported. A model is imported by its name through the registry, which no import shows: a stage that asks the registry
uses the models that its script names, or else, for each model of the pipeline's parameters, that one alone.
"""

import ast
import functools
import hashlib
import re
import shutil
import sys
from collections.abc import Collection
from importlib.metadata import packages_distributions
from itertools import accumulate
from pathlib import Path

try:
    from common.stage import run

    from dlreport.config import load_params
    from dlreport.errors import UserError
    from dlreport.io import read_yaml, write_text
    from dlreport.sequence.models import MODELS, check_names
except ModuleNotFoundError as error:
    if sys.flags.safe_path:
        sys.exit("error: PYTHONSAFEPATH keeps stages from importing what lies beside them; unset it")
    sys.exit(f"error: {error.name} is not installed; run `make setup`, then `. .venv/bin/activate`")

SRC, SOURCES, STUDY = Path("src"), Path("sources"), Path("studies/frontier")
REGISTRY = SRC / "dlreport/sequence/models/__init__.py"
# what of the registry loads models, and what shows their rows
LOADERS = {"dlreport.sequence.models", "dlreport.sequence.models.model_class"}
SHOWING = {"dlreport.sequence.models", "dlreport.sequence.models.MODELS", "dlreport.sequence.models.colours"}
# of C; what is in quotes is kept
COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*|/\*.*?\*/""", re.S)
IMPORTING = ("import_module", "__import__")
OPTIONAL = {"ray"}  # of no pinned version: it changes no number


class Sources:
    """Of the scripts of one directory; `trained` are the models that the parameters name, `pins` as of `pinned`."""

    def __init__(self, scripts: Path, trained: Collection[str], pins: dict[str, set[str]]):
        self.modules, self.trained, self.pins = modules(scripts) | modules(SRC), trained, pins
        paths = (SRC / "dlreport").rglob("*")
        self.others = [path for path in paths if path.is_file() and path.suffix not in (".py", ".pyc")]

    def of(self, script: Path) -> dict[str, str]:
        """A stage's file, by its name, or one by model if the stage asks the registry and names no model itself."""
        named = MODELS.keys() & read(script, script.read_bytes())[2]
        if named or REGISTRY not in self.closure(script)[0]:
            return {f"{script.stem}.txt": self.text(script, named)}
        return {f"{script.stem}/{model}.txt": self.text(script, {model}) for model in self.trained}

    def text(self, script: Path, models: set[str]) -> str:
        """A line for each file, its path and a hash of what it means, and for each package its pinned version."""
        files, names = self.closure(script, models)
        if REGISTRY in files and names & SHOWING:
            files[REGISTRY] += repr([MODELS[model] for model in sorted(models)])
        packages = {name.partition(".")[0] for name in names} - self.modules.keys() - sys.stdlib_module_names - OPTIONAL
        if missing := [package for package in packages if not self.pins.get(package)]:
            raise UserError(f"requirements.txt: no version of {min(missing)}, which is imported; add one")
        lines = [f"{path} {hashlib.sha256(files[path].encode()).hexdigest()[:16]}" for path in sorted(files)]
        pins = {pin for package in packages for pin in self.pins[package]}
        return "".join(f"{line}\n" for line in [*lines, *sorted(pins)])

    def closure(self, script: Path, models: Collection[str] = ()) -> tuple[dict[Path, str], set[str]]:
        """Of a script that loads these models: what each file means, and the full names of all that they import."""
        files, names, waiting = {}, set(), [script]
        while waiting:
            path = waiting.pop()
            if path not in files:
                files[path], imported, quoted = read(path, path.read_bytes())
                names |= imported
                waiting += [other for other in self.others if other.name in quoted]
                for name in imported:  # and the packages on the way
                    waiting += [
                        self.modules[n] for n in accumulate(name.split("."), "{}.{}".format) if n in self.modules
                    ]
                if imported & LOADERS:
                    waiting += [REGISTRY.with_name(f"{MODELS[model].module}.py") for model in models]
        return files, names


def modules(root: Path) -> dict[str, Path]:
    """By the names to import them by."""
    paths = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in paths.items()}


@functools.cache
def read(path: Path, content: bytes) -> tuple[str, set[str], set[str]]:
    """What a file means, which no comment, docstring or white space changes, what it imports, and file names in quotes.

    Of other files than Python and C every byte counts. The registry is without the models' rows. Raises UserError if
    only a run could tell what a module imports.
    """
    names: set[str] = set()
    quoted: set[str] = set()
    if path.suffix != ".py":
        text = content.decode("latin-1")  # of any bytes
        text = without_comments(text) if path.suffix in (".c", ".cpp", ".h") else text
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
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if ast.unparse(node.func).endswith(IMPORTING):
                names.add(name)
            case ast.Call() if path == REGISTRY or not ast.unparse(node.func).endswith(IMPORTING):
                pass
            case ast.ImportFrom() | ast.Call():
                raise UserError(f"{path}: line {node.lineno}: import by the full name, without * or dots before it")
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
    fields = ((name, skeleton(value)) for name, value in ast.iter_fields(node) if name != "kind")
    return type(node).__name__, *(field for field in fields if field[1] not in (None, ()))


def without_comments(text: str) -> str:
    """C with one space for white space, but in quotes, and where a line with # ends."""
    text = COMMENT.sub(lambda found: found[1].replace(" ", "\0") if found[1] else " ", text).replace("\\\n", " ")
    lines = [(line.split(), "\n" * line.lstrip().startswith("#")) for line in text.split("\n")]
    return " ".join(" ".join(words) + end for words, end in lines if words)


def pinned(requirements: Path) -> dict[str, set[str]]:
    """Of each package that is installed NAME==VERSION of the distributions that it is imported from."""
    pins = re.findall(r"^[\w.-]+==[^\s;]+", requirements.read_text(encoding="utf-8"), flags=re.M)
    by_name = {pin.partition("==")[0].lower(): pin for pin in pins}
    installed = packages_distributions().items()
    return {package: {by_name[n.lower()] for n in names if n.lower() in by_name} for package, names in installed}


def models_in(params: object, *keys: str) -> list[str]:
    """The models under these keys; none where the study's parameters are bad, which the study refuses."""
    for key in keys:
        params = params.get(key) if isinstance(params, dict) else None
    return [name for name in params if name in [*MODELS]] if isinstance(params, list) else []


def derive() -> dict[Path, str]:
    """By the path of the file in sources/. A script without a main is no stage's, but a module of one."""
    found: dict[Path, str] = {}
    pins = pinned(Path("requirements.txt"))
    for directory, keys in ((Path(), ("sequence", "models")), (STUDY, ("models",))):
        here = Sources(directory / "stages", models_in(read_yaml(directory / "params.yaml"), *keys), pins)
        scripts = [path for path in (directory / "stages").glob("[!.]*.py") if b"__main__" in path.read_bytes()]
        for script in sorted(set(scripts) - {Path("stages/sources.py")}):
            found |= {SOURCES / directory.name / name: text for name, text in here.of(script).items()}
    return found


def main() -> None:
    params = load_params()
    check_names(params.sequence.models)
    for model in params.sequence.models:
        params.sequence.runs_of(model)
    if params.device not in ("auto", "cpu") or params.precision != "fp32":
        from dlreport.runtime import check_precision, select_device  # here: it imports torch, which takes seconds

        check_precision(params.precision, select_device(params.device))
    found = derive()
    shutil.rmtree(SOURCES, ignore_errors=True)
    for path, text in found.items():
        write_text(path, text)


if __name__ == "__main__":
    run(main)
