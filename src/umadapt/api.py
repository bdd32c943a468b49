"""Commands as functions, with the arguments of the command line under the same names."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from umadapt.config import Adapt, Evaluate
from umadapt.config.options import check_numbers
from umadapt.errors import UserError

if TYPE_CHECKING:
    from umadapt.inference.hub import Model

StrPath = str | os.PathLike[str]
T = TypeVar("T")


def adapt(run: StrPath, target: StrPath | Sequence[StrPath], out: StrPath, **options: Any) -> Model:
    """Adapt a model to photos without labels, as `umadapt adapt` does; an unfinished run goes on, a finished one stays.

    Args:
        run: a run folder of `umadapt train`, a file of `umadapt export`, or a model that ships, such as "indoor".
        target: a folder of photos, or DATA:SPLIT, or several.
        out: run folder to write.
        options: as `umadapt adapt --help` names them, such as steps=100, method="adabn", json="done.json".

    Returns:
        The adapted model, as `umadapt.load` gives it.

    Raises:
        UserError: an option that there is not, or what the command says.
    """
    targets = [os.fspath(one) for one in ((target,) if isinstance(target, str | os.PathLike) else target)]
    config = configure(Adapt, run=run, target=targets, out=out, **options)
    importlib.import_module("umadapt.commands.adapt").run(config)
    from umadapt.inference.loading import load_run

    return load_run(Path(out), config.device)


def evaluate(run: StrPath, data: StrPath, **options: Any) -> dict[str, Any]:
    """Measure a model on labelled photos, as `umadapt evaluate` does.

    Args:
        run: as in `adapt`.
        data: a data set, or DATA:SPLIT.
        options: as `umadapt evaluate --help` names them, such as protocol="nyud", normals_from_depth=True.

    Returns:
        What the command writes by --json: {"depth": {"rel": …}, "normals": {"mean": …}, "seg": {"miou": …}, …}.

    Raises:
        UserError: as in `adapt`.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(options.pop("json", None) or Path(folder) / "evaluation.json")
        config = configure(Evaluate, run=run, data=os.fspath(data), json=file, **options)
        importlib.import_module("umadapt.commands.evaluate").run(config)
        return json.loads(file.read_text())


def configure(kind: type[T], **given: Any) -> T:
    """The arguments of a command, from keywords.

    Raises:
        UserError: the command has no such argument, or a value is none of its choices.
    """
    hints = get_type_hints(kind)
    for name, value in given.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, 1)
            raise UserError(f"{kind.__name__.lower()} has no option {name!r}" + (f"; {near[0]}?" if near else ""))
        kinds = (hints[name], *get_args(hints[name]))
        choices = [word for one in kinds if get_origin(one) is Literal for word in get_args(one)]
        if choices and value is not None and value not in choices:
            raise UserError(f"{name} is {value!r}; expected one of {', '.join(map(str, choices))}")
        if Path in kinds and value is not None:
            given[name] = Path(value)
        elif get_origin(hints[name]) is tuple and value is not None:
            given[name] = (value,) if isinstance(value, str) else tuple(value)
    config = kind(**given)
    check_numbers(config)
    return config
