"""Records what the stages of the tests' one pipeline read and drew.

Python imports this module at its start, if it is on PYTHONPATH. Each parameter that a stage reads then becomes a line
in a file of the folder RECORDED, and each random stream in another: the stage, a tab, the key or "seed/name".
"""

import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path

UNCOUNTED = str(Path("stages/common/stage.py"))  # reads the device, for the record of what ran where


def note(kind: str, values) -> None:
    if stage := os.environ.get("DVC_STAGE"):
        with Path(os.environ["RECORDED"], kind).open("a") as file:
            file.writelines(f"{stage}\t{value}\n" for value in values)


def record_parameters(config) -> None:
    """But for those that the checks of the parameters themselves read."""
    prefixes, noted = {}, set()

    def note_keys(section, names) -> None:
        schema = type(section)
        keys = {f"{prefixes[schema]}{name}" for name in names if name in schema.model_fields} - noted
        noted.update(keys)
        if keys:
            note("parameters", sorted(keys))

    def get(self, name: str):
        caller = sys._getframe(1).f_code.co_filename
        if not name.startswith("_") and caller != config.__file__ and not caller.endswith(UNCOUNTED):
            note_keys(self, [name])
        return object.__getattribute__(self, name)

    def dump(self, include=None, exclude=None, **options):
        note_keys(self, {*(include or type(self).model_fields)} - {*(exclude or ())})
        return whole(self, include=include, exclude=exclude, **options)

    def hook(schema, prefix: str) -> None:
        prefixes[schema] = prefix
        schema.__getattribute__, schema.model_dump = get, dump
        for name, field in schema.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, config.Section):
                hook(field.annotation, f"{prefix}{name}.")

    whole = config.Section.model_dump
    hook(config.Params, "")


def record_streams(streams) -> None:
    stream = streams.stream

    def recorded(seed: int, *name):
        note("streams", ["/".join(map(str, (seed, *name)))])
        return stream(seed, *name)

    streams.stream = recorded


RECORDERS = {"dlreport.config": record_parameters, "dlreport.streams": record_streams}


class Finder(importlib.abc.MetaPathFinder):
    """Finds these modules as Python does, and has them recorded once they are there."""

    def find_spec(self, name, path, target=None):
        if name not in RECORDERS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def run_and_record(module) -> None:
            run(module)
            RECORDERS[name](module)

        spec.loader.exec_module = run_and_record
        return spec


if "RECORDED" in os.environ:
    sys.meta_path.insert(0, Finder())
