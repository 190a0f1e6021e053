"""Refuse bad parameters, then write for each stage a file in sources/ that lists the code it uses. The stage depends on
that file.

So a changed comment reruns no other stage. A changed constant reruns the stages that use the file with the constant. A
new package version reruns the stages that import the package.

A stage uses three things:

- every module that its script imports, directly or by way of others, wherever the import stands;
- every other file of the library that such a module names in quotes (C, headers, templates, styles);
- the pinned version of every package that is imported.

Imports do not show which models a stage uses, since the registry imports a model by its name. If a stage's script names
models, the stage uses these. If the script names none but asks the registry, the stage has a file in sources/ for each
model of the parameters, and each of these files lists that model alone.
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
# a file that imports one of these can load models, or can see the registry's rows
LOADS_MODELS = {"dlreport.sequence.models", "dlreport.sequence.models.model_class"}
SHOWS_REGISTRY = {"dlreport.sequence.models", "dlreport.sequence.models.MODELS", "dlreport.sequence.models.colours"}
# matches a comment in C, or text in quotes, which is kept
COMMENT = re.compile(r"""("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|//[^\n]*|/\*.*?\*/""", re.S)
IMPORTING = ("import_module", "__import__")
OPTIONAL = {"ray"}  # packages that need no pinned version, as they change no number


class Sources:
    """Derives what the stages in one directory use.

    `trained` are the models that the parameters name, and `pins` is what `pinned` returns.
    """

    def __init__(self, scripts: Path, trained: Collection[str], pins: dict[str, set[str]]):
        self.modules, self.trained, self.pins = modules(scripts) | modules(SRC), trained, pins
        paths = (SRC / "dlreport").rglob("*")
        self.others = [path for path in paths if path.is_file() and path.suffix not in (".py", ".pyc")]

    def files_of_stage(self, script: Path) -> dict[str, str]:
        """Return the contents of a stage's files in sources/, by their names.

        There is one file, or one for each model if the stage asks the registry and names no model itself.
        """
        named = MODELS.keys() & read(script, script.read_bytes())[2]
        if named or REGISTRY not in self.reachable(script)[0]:
            return {f"{script.stem}.txt": self.file_content(script, named)}
        return {f"{script.stem}/{model}.txt": self.file_content(script, {model}) for model in self.trained}

    def file_content(self, script: Path, models: set[str]) -> str:
        """Return the content of a file in sources/.

        Each source file has a line with its path and a hash of what it means. Each package has a line with its pinned
        version. Raises UserError if an imported package has no pinned version.
        """
        files, names = self.reachable(script, models)
        if REGISTRY in files and names & SHOWS_REGISTRY:
            files[REGISTRY] += repr([MODELS[model] for model in sorted(models)])
        packages = {name.partition(".")[0] for name in names} - self.modules.keys() - sys.stdlib_module_names - OPTIONAL
        if missing := [package for package in packages if not self.pins.get(package)]:
            raise UserError(f"requirements.txt: no version of {min(missing)}, which is imported; add one")
        lines = [f"{path} {hashlib.sha256(files[path].encode()).hexdigest()[:16]}" for path in sorted(files)]
        pins = {pin for package in packages for pin in self.pins[package]}
        return "".join(f"{line}\n" for line in [*lines, *sorted(pins)])

    def reachable(self, script: Path, models: Collection[str] = ()) -> tuple[dict[Path, str], set[str]]:
        """Return what a script reaches if it loads these models: what each file means, by its path, and the full names
        of everything that these files import."""
        files, names, waiting = {}, set(), [script]
        while waiting:
            path = waiting.pop()
            if path not in files:
                files[path], imported, quoted = read(path, path.read_bytes())
                names |= imported
                waiting += [other for other in self.others if other.name in quoted]
                for name in imported:  # an import of a.b.c also runs a and a.b
                    waiting += [
                        self.modules[n] for n in accumulate(name.split("."), "{}.{}".format) if n in self.modules
                    ]
                if imported & LOADS_MODELS:
                    waiting += [REGISTRY.with_name(f"{MODELS[model].module}.py") for model in models]
        return files, names


def modules(root: Path) -> dict[str, Path]:
    """Return the paths of the modules under a folder, by the names under which they are imported."""
    paths = {".".join(path.relative_to(root).with_suffix("").parts): path for path in root.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in paths.items()}


@functools.cache
def read(path: Path, content: bytes) -> tuple[str, set[str], set[str]]:
    """Return what a file means, the names that it imports, and the file names that it has in quotes.

    In a Python or C file, comments, docstrings and white space count for nothing. In other files every byte counts. The
    models' rows are left out of the registry. Raises UserError if only running a module could show what it imports.
    """
    names: set[str] = set()
    quoted: set[str] = set()
    if path.suffix != ".py":
        text = content.decode("latin-1")  # latin-1 decodes any bytes
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
    """Return a syntax tree as nested tuples.

    It leaves out docstrings and positions, and also empty fields, since versions of Python differ in those.
    """
    if isinstance(node, list):
        texts = [item for item in node if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)]
        return tuple(skeleton(item) for item in node if item not in texts)
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, skeleton(value)) for name, value in ast.iter_fields(node) if name != "kind")
    return type(node).__name__, *(field for field in fields if field[1] not in (None, ()))


def without_comments(text: str) -> str:
    """Return C code without comments, and with one space in place of any white space.

    Text in quotes is kept, with null characters for its spaces. A line that begins with # keeps its line end.
    """
    text = COMMENT.sub(lambda found: found[1].replace(" ", "\0") if found[1] else " ", text).replace("\\\n", " ")
    lines = [(line.split(), "\n" * line.lstrip().startswith("#")) for line in text.split("\n")]
    return " ".join(" ".join(words) + end for words, end in lines if words)


def pinned(requirements: Path) -> dict[str, set[str]]:
    """Return NAME==VERSION of the distributions that an installed package comes from, by the package's name."""
    pins = re.findall(r"^[\w.-]+==[^\s;]+", requirements.read_text(encoding="utf-8"), flags=re.M)
    by_name = {pin.partition("==")[0].lower(): pin for pin in pins}
    installed = packages_distributions().items()
    return {package: {by_name[n.lower()] for n in names if n.lower() in by_name} for package, names in installed}


def models_in(params: object, *keys: str) -> list[str]:
    """Return the models that the parameters name under these keys.

    Bad parameters name none. The stage that reads them refuses them.
    """
    for key in keys:
        params = params.get(key) if isinstance(params, dict) else None
    return [name for name in params if name in [*MODELS]] if isinstance(params, list) else []


def derive() -> dict[Path, str]:
    """Return the contents of all files in sources/, by their paths. A script without a main is no stage."""
    found: dict[Path, str] = {}
    pins = pinned(Path("requirements.txt"))
    for directory, keys in ((Path(), ("sequence", "models")), (STUDY, ("models",))):
        here = Sources(directory / "stages", models_in(read_yaml(directory / "params.yaml"), *keys), pins)
        scripts = [path for path in (directory / "stages").glob("[!.]*.py") if b"__main__" in path.read_bytes()]
        for script in sorted(set(scripts) - {Path("stages/sources.py")}):
            found |= {SOURCES / directory.name / name: text for name, text in here.files_of_stage(script).items()}
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
