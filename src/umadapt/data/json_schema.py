"""What a JSON file must be: types, ranges, finite numbers. One schema a kind of file, which stands beside its reader.

A schema is a function of a value and of where it stands, which raises `Wrong`; the functions here make such.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from umadapt.errors import UserError

Schema = Callable[[Any, str], None]
LARGEST = 2**53  # whole numbers beyond are not exact in every reader of JSON


class Wrong(ValueError):
    """A value is not what its schema says."""


def _wrong(value: Any, where: str, expected: str) -> Wrong:
    found = json.dumps(value, default=str)
    return Wrong(f"{where or 'it'} is {found if len(found) <= 40 else found[:40] + '…'}, expected {expected}")


def anything(value: Any, where: str) -> None:
    """Whatever JSON holds."""


def flag(value: Any, where: str) -> None:
    """true or false."""
    if not isinstance(value, bool):
        raise _wrong(value, where, "true or false")


def number(least: float = -math.inf, most: float = math.inf, above: float = -math.inf, whole: bool = False) -> Schema:
    """A finite number, from `least` to `most` and more than `above`."""
    kind = "a whole number" if whole else "a number"
    limits = [f"from {least:g}"] * (least > -math.inf) + [f"to {most:g}"] * (most < math.inf)
    limits += [f"above {above:g}"] * (above > -math.inf)
    expected = " ".join([kind, *limits])

    def check(value: Any, where: str) -> None:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        right = right and (isinstance(value, int) or (math.isfinite(value) and not whole))
        if not right or not (least <= value <= most and value > above) or abs(value) > sys.float_info.max:
            raise _wrong(value, where, expected)

    return check


def count(least: int = 0, most: int = LARGEST) -> Schema:
    """A whole number."""
    return number(least, most, whole=True)


def text(*choices: str) -> Schema:
    """Text, one of `choices` where there are any."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or (choices and value not in choices):
            raise _wrong(value, where, "one of " + ", ".join(choices) if choices else "text")

    return check


def maybe(schema: Schema) -> Schema:
    """null, or what `schema` says."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            schema(value, where)

    return check


def either(*schemas: Schema) -> Schema:
    """What one of the schemas says; the last one has the word."""

    def check(value: Any, where: str) -> None:
        for schema in schemas[:-1]:
            try:
                return schema(value, where)
            except Wrong:
                continue
        return schemas[-1](value, where)

    return check


def items(schema: Schema, length: int | None = None) -> Schema:
    """A list, of `length` where that is given."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or (length is not None and len(value) != length):
            raise _wrong(value, where, "a list" if length is None else f"a list of {length}")
        for k, item in enumerate(value):
            schema(item, f"{where}[{k}]")

    return check


def table(schema: Schema, names: Collection[str] = ()) -> Schema:
    """An object with any names, or with some of `names`, all alike."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, where, "an object")
        for name, item in value.items():
            if names and name not in names:
                raise Wrong(f"{where or 'it'} has {name!r}, expected {', '.join(names)}")
            schema(item, f"{where}.{name}".lstrip("."))

    return check


def record(needed: Mapping[str, Schema], known: Mapping[str, Schema] | None = None) -> Schema:
    """An object with all of `needed`, and perhaps `known`; names beside these are left to other versions."""
    schemas = {**needed, **(known or {})}

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, where, "an object")
        lacking = [name for name in needed if name not in value]
        if lacking:
            raise Wrong(f"{where or 'it'} lacks {', '.join(lacking)}")
        for name, item in value.items():
            if name in schemas:
                schemas[name](item, f"{where}.{name}".lstrip("."))

    return check


def fields(kind: type, **closer: Schema) -> Schema:
    """An object that `dataclasses.asdict` made of a dataclass, by its types; `closer` says more of some fields.

    Fields may be missing, as in what an older version wrote.
    """
    hints = typing.get_type_hints(kind)
    return record({}, {f.name: closer.get(f.name) or _of(hints[f.name]) for f in dataclasses.fields(kind)})


def _of(hint: Any) -> Schema:
    """The schema of a type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return text(*inner)
    if origin in (typing.Union, types.UnionType):
        return maybe(either(*(_of(one) for one in inner if one is not type(None))))
    if origin is tuple:
        return items(_of(inner[0]), None if inner[-1] is Ellipsis else len(inner))
    if origin is dict:
        return table(_of(inner[1]))
    plain = {bool: flag, int: count(-LARGEST), float: number(), str: text(), Path: text()}
    return plain.get(hint, anything)


# --- Reading


def parse(data: bytes | str) -> Any:
    """Strict JSON: no NaN and no infinity. Raises ValueError for whatever is none."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def read(path: Path, schema: Schema, cure: str) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: there is none.
        UserError: it cannot be read, is no JSON, or not what `schema` says; ends with `cure`.
    """
    try:
        value = parse(path.read_bytes())
        schema(value, "")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); {cure}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; {cure}") from error
    return value
