"""The commands as functions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import umadapt
from toy_runs import make_run
from toys import write_toy_world
from umadapt.cli import main
from umadapt.training.load import read_weights


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("api")
    for name, seed in (("rooms", 0), ("photos", 1)):
        write_toy_world(root / name, 6, seed)
    command = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4"
    steps = "--transfer-steps 2 --base-steps 2 --contour-steps 2"
    where = ["--source", str(root / "rooms"), "--out", str(root / "base")]
    assert main(["train", *where, *command.split(), *steps.split()]) == 0
    return root


def test_adapt_is_the_command(world: Path, tmp_path: Path) -> None:
    given = {"steps": 2, "batch": 2, "json": tmp_path / "done.json"}
    model = umadapt.adapt(world / "base", world / "photos", tmp_path / "api", **given)
    assert set(model.predict(np.zeros((64, 96, 3), np.uint8))) >= {"depth", "normals", "seg"}
    done = json.loads((tmp_path / "done.json").read_text())
    assert (done["method"], done["photos"], done["steps"], done["selected"]) == ("self-training", 6, 2, None)
    assert "student/loss" in done["losses"]
    assert done["seconds"] > 0
    words = ["adapt", str(world / "base"), "--target", str(world / "photos"), "--out", str(tmp_path / "cli")]
    assert main([*words, "--steps", "2", "--batch", "2"]) == 0
    ours, theirs = (read_weights(tmp_path / name) for name in ("api", "cli"))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    again = umadapt.adapt(str(world / "base"), [world / "photos"], str(tmp_path / "api"), steps=2, batch=2)
    assert again.classes == model.classes


def test_evaluate_is_the_command(world: Path, tmp_path: Path) -> None:
    found = umadapt.evaluate(world / "base", world / "photos", protocol="raw")
    where = ["--data", str(world / "photos"), "--json", str(tmp_path / "cli.json")]
    assert main(["evaluate", str(world / "base"), *where]) == 0
    assert found == json.loads((tmp_path / "cli.json").read_text())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"step": 3}, "no option 'step'; steps"),
        ({"method": "magic"}, "method is 'magic'; expected one of self-training"),
        ({"steps": -1}, "--steps is -1"),
        ({"device": "tpu9"}, "not to be had here"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, options: dict, said: str) -> None:
    make_run(tmp_path / "base", done=("transfer", "base", "contour"))
    with pytest.raises(umadapt.UserError, match=said):
        umadapt.adapt(tmp_path / "base", "photos", tmp_path / "out", **options)
