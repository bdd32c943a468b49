"""dataset.json is held to one schema: types, ranges, and unknown entries with the nearest known one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError

CAMERA = {"fx": 20.0, "fy": 20.0, "cx": 8.0, "cy": 6.0, "width": 16, "height": 12}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_image(tmp_path / "image/0.png", np.zeros((12, 16, 3), np.uint8))
    return tmp_path


def seg(**entries: Any) -> dict[str, Any]:
    return {"tasks": {"seg": entries}}


def depth(**entries: Any) -> dict[str, Any]:
    return {"tasks": {"depth": entries}}


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        (seg(classes={"0": "wall", "1": "floor"}), 'names in the order of their ids, from 0, here ["wall", "floor"]'),
        (seg(classes={"floor": 1, "wall": 0}), 'here ["wall", "floor"]'),
        (seg(classes="wall"), '"tasks.seg.classes" is "wall"; expected a list'),
        (seg(classes=[{"name": "wall"}]), "expected a list"),
        (seg(ignore="255"), '"tasks.seg.ignore" is "255"; expected a whole number from 0 to 255; write it without quo'),
        (seg(ignore=True), "expected a whole number"),
        (seg(ignore=-1), "from 0 to 255"),
        (seg(class_names=["wall"]), 'unknown entry "tasks.seg.class_names"; is it "tasks.seg.classes"?'),
        (depth(scale=0.001), 'unknown entry "tasks.depth.scale"; is it "tasks.depth.scale_m"?'),
        (depth(scale_mm=1), 'is it "tasks.depth.scale_m"?'),
        (depth(unit="mm"), 'unknown entry "tasks.depth.unit"; expected scale_m, max_m'),
        (
            depth(scale_m="0.001"),
            '"tasks.depth.scale_m" is "0.001"; expected a positive number; write it without quotes',
        ),
        (depth(max_m=0), "expected a positive number"),
        (depth(max_m=10**400), "expected a positive number"),
        ({"tasks": {"depth": 0.001}}, '"tasks.depth" is 0.001; expected an object'),
        ({"tasks": []}, '"tasks" is []; expected an object'),
        ({"tasks": {"detph": {}}}, 'unknown task "detph" under "tasks"; is it "depth"?'),
        ({"scale": 0.001}, 'unknown entry "scale"; is it "tasks.depth.scale_m"?'),
        ({"classes": ["wall"]}, 'is it "tasks.seg.classes"?'),
        ({"camara": CAMERA}, 'unknown entry "camara"; is it "camera"?'),
        ({"intrinsics": CAMERA}, 'is it "camera"?'),
        ({"camera": [20, 20, 8, 6]}, '"camera" is [20, 20, 8, 6]; expected an object'),
        ({"camera": {**CAMERA, "fx": "20"}}, '"camera.fx" is "20"; expected a positive number; write it without'),
        ({"camera": {**CAMERA, "width": 16.5}}, "expected a positive whole number of pixels"),
        ({"camera": {**CAMERA, "k1": 0.1}}, 'unknown entry "camera.k1"; expected fx'),
        ({"cameras": {"0": {"f": 20}}}, 'unknown entry "cameras.0.f"; is it "cameras.0.fx"?'),
        ({"cameras": [CAMERA]}, '"cameras" is'),
        ({"name": ["kitchen"]}, '"name" is ["kitchen"]; expected text'),
        ([], "found [], expected an object"),
    ],
)
def test_what_does_not_keep_the_schema_is_named(root: Path, meta: Any, told: str) -> None:
    (root / "dataset.json").write_text(json.dumps(meta))
    with pytest.raises(UserError) as error:
        Folder(root)
    assert str(root / "dataset.json") in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(
    "text", ["{", "nonsense", "[" * 100_000, '{"camera": {"fx": NaN}}', '{"tasks": {"depth": null']
)
def test_what_is_no_json_is_named(root: Path, text: str) -> None:
    (root / "dataset.json").write_text(text)
    with pytest.raises(UserError, match=r"dataset\.json: "):
        Folder(root)


def test_entries_of_the_user_are_told_and_kept(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(root / "dataset.json", {"weather": "rain", "_comment": "mine", "tasks": {"edges": {"anything": 1}}})
    assert Folder(root).strange == ["weather"]
    assert 'entries that nothing reads: "weather"' in capsys.readouterr().err
    assert main(["check", str(root)]) == 0
    assert 'warning: dataset.json has entries that nothing reads: "weather"' in capsys.readouterr().out


def test_what_our_own_commands_write_is_known(root: Path) -> None:
    """The entries of renderer, converters and predictions."""
    render = {
        "license": "CC0-1.0",
        "notes": "x",
        "attribution": ["x"],
        "camera": CAMERA,
        "cameras": {"0": {"fx": 21.0}},
    }
    render |= {"tasks": {"depth": {"scale_m": 0.001, "max_m": 10.0}, "normals": {}}, "render": {"engine": "llvm"}}
    converted = {"name": "x", "title": "x", "home": "x", "license": "x", "citation": "x", "depth_of": "laser"}
    converted |= {"normals_of": "x", "colour_of": "x", "window": [1, 1, 15, 11], "labelled": {"count": 1, "seed": 0}}
    converted |= {"normals_axes": [[1, 0, 0]], "camera": None}
    predicted = {"camera": None, "trust": {"depth": {"white": 0.3, "unit": "x"}}, "tasks": {"edges": {}, "seg": {}}}
    for meta in (render, converted, predicted):
        write_json(root / "dataset.json", meta)
        assert Folder(root).strange == []
