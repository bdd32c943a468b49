"""Schemas of JSON files: what is right passes, what is not is named by its place."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from umadapt.config import Adapt, ModelSpec, Semi, Train
from umadapt.data import json_schema
from umadapt.errors import UserError
from umadapt.training.run_record import COMMANDS, MODEL, command_dict


@dataclass
class Toy:
    size: tuple[int, int]
    names: tuple[str, ...]
    graph: dict[str, tuple[str, ...]]
    kind: Literal["a", "b"] = "a"
    rate: float | None = None
    where: Path | None = None


RIGHT: dict[str, Any] = {"size": [1, 2], "names": ["x"], "graph": {"seg": ["depth"]}, "rate": 3, "where": "here"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"unknown": 1, "rate": None}, None),
        ({"size": [1]}, "size is [1], expected a list of 2"),
        ({"size": [1, 2.5]}, "size[1] is 2.5, expected a whole number"),
        ({"size": [1, True]}, "size[1] is true, expected a whole number"),
        ({"names": "x"}, 'names is "x", expected a list'),
        ({"names": [None]}, "names[0] is null, expected text"),
        ({"graph": []}, "graph is [], expected an object"),
        ({"graph": {"seg": [1]}}, "graph.seg[0] is 1, expected text"),
        ({"kind": "c"}, 'kind is "c", expected one of a, b'),
        ({"rate": "3"}, 'rate is "3", expected a number'),
        ({"rate": float("inf")}, "rate is Infinity, expected a number"),
        ({"rate": 10**400}, "expected a number"),
    ],
)
def test_a_dataclass_is_its_own_schema(change: dict[str, Any], said: str | None) -> None:
    check = json_schema.fields(Toy)
    if said is None:
        check(RIGHT | change, "")
        return
    with pytest.raises(json_schema.Wrong) as error:
        check(RIGHT | change, "")
    assert said in str(error.value)


def test_ranges_and_alternatives() -> None:
    share = json_schema.either(json_schema.flag, json_schema.number(0, 1))
    share(True, "")
    share(0.5, "")
    for wrong in (1.5, "x", None):
        with pytest.raises(json_schema.Wrong, match=r"at is .*, expected a number from 0 to 1"):
            share(wrong, "at")
    with pytest.raises(json_schema.Wrong, match=r"it lacks n$"):
        json_schema.record({"n": json_schema.count()})({}, "")
    with pytest.raises(json_schema.Wrong, match="n is -1, expected a whole number from 0"):
        json_schema.record({"n": json_schema.count()})({"n": -1}, "")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 100_000, b"3", b'{"a": 1e999}'])
def test_what_is_no_json_is_named_with_its_cure(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.json is damaged: .*; delete it"):
        json_schema.read(path, json_schema.table(json_schema.number()), "delete it")


def test_what_every_command_writes_is_what_is_read() -> None:
    commands = [
        Train(source="rooms", out=Path("x"), clip=float("inf")),
        Adapt(run=Path("x"), target=("a",), out=Path("y")),
        Semi(run=Path("x"), target=("a",), labelled=("b",), out=Path("y"), shared_views=Path("v")),
    ]
    for command in commands:
        COMMANDS[type(command)](json.loads(json.dumps(command_dict(command))), "command")
    MODEL(json.loads(json.dumps(dataclasses.asdict(ModelSpec()))), "model")
