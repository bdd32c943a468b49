"""`--class-map` from training to prediction."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_runs import make_run
from toys import CLASSES, random_batch, write_toy_world
from umadapt.cli import main
from umadapt.data.folder import Folder
from umadapt.inference.loading import load
from umadapt.inference.photos import merge_classes
from umadapt.training.load import read_record

TINY = [
    "--backbone",
    "test_resnet",
    "--weights",
    "none",
    "--size",
    "64x96",
    "--width",
    "0.03",
    "--transfer-width",
    "0.03",
]


@pytest.fixture
def things(tmp_path: Path) -> str:
    """Two classes of four."""
    path = tmp_path / "things.json"
    path.write_text(json.dumps({"box": "thing", "ball": "thing", "wall": "ignore"}))
    return str(path)


def test_probabilities_are_added(tiny) -> None:
    model = tiny.eval()
    logits = model(random_batch(model).images)["seg"].detach() * 3
    before = logits.softmax(1)
    merge_classes(model, {"box": "thing", "ball": "thing", "wall": None}, "run")
    assert model.classes == ("thing", "floor")
    after = model.tasks["seg"].to_physical(logits).softmax(1)
    wanted = torch.stack([before[:, 2] + before[:, 3], before[:, 1]], 1)
    torch.testing.assert_close(after, wanted / wanted.sum(1, keepdim=True))


def test_a_map_that_merges_nothing_changes_nothing(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "noadv")
    (tmp_path / "same.json").write_text(json.dumps({name: name for name in CLASSES}))
    photo = np.random.default_rng(0).integers(0, 255, (70, 100, 3)).astype(np.uint8)
    plain, mapped = load(tmp_path / "run", "cpu"), load(tmp_path / "run", "cpu", class_map=tmp_path / "same.json")
    found, wanted = mapped.predict(photo), plain.predict(photo)
    for name in ("depth", "seg"):
        np.testing.assert_array_equal(found[name], wanted[name])
    np.testing.assert_array_equal(found["trust"]["seg"], wanted["trust"]["seg"])
    assert mapped.trust == plain.trust


def test_predictions_measure_as_the_run_does(toy_world: Path, tmp_path: Path, things: str) -> None:
    make_run(tmp_path / "run", "noadv")
    out, run = str(tmp_path / "out"), str(tmp_path / "run")
    given = ["--class-map", things, "--device", "cpu"]
    assert main(["predict", run, str(toy_world), "--out", out, *given]) == 0
    assert Folder(out).classes == ("thing", "floor")
    one, two = tmp_path / "run.json", tmp_path / "files.json"
    assert main(["evaluate", run, "--data", str(toy_world), "--json", str(one), *given]) == 0
    more = ["--predictions", out, "--data", str(toy_world), "--json", str(two), "--class-map", things]
    assert main(["evaluate", *more]) == 0
    directly, by_files = json.loads(one.read_text())["seg"], json.loads(two.read_text())["seg"]
    assert set(directly["iou"]) == {"thing", "floor"}
    assert by_files["pacc"] == pytest.approx(directly["pacc"], abs=1e-3)
    assert [path.name for path in (tmp_path / "run" / "evaluations").iterdir()] == ["raw-toy-all-things.json"]


def test_a_run_learns_the_new_classes_and_what_follows_knows(tmp_path: Path, toy_world: Path, things: str) -> None:
    base = str(tmp_path / "base")
    steps = [word for stage in ("transfer", "base", "contour") for word in (f"--{stage}-steps", "1")]
    train = ["train", "--source", str(toy_world), "--out", base, *TINY, *steps, "--batch", "4", "--device", "cpu"]
    assert main([*train, "--class-map", things]) == 0
    config = read_record(tmp_path / "base")
    assert config.model.classes == ("thing", "floor")
    assert config.class_map == {"box": "thing", "ball": "thing", "wall": None}
    # the source has other classes; it is read as it was
    write_toy_world(tmp_path / "photos", 6, seed=1)
    adapted = str(tmp_path / "adapted")
    adapt = ["adapt", base, "--target", str(tmp_path / "photos"), "--out", adapted, "--method", "self-training"]
    assert main([*adapt, "--steps", "1", "--batch", "4", "--device", "cpu"]) == 0
    semi = ["semi", adapted, "--target", str(tmp_path / "photos"), "--labelled", str(toy_world)]
    assert main([*semi, "--out", str(tmp_path / "semi"), "--steps", "1", "--batch", "4", "--device", "cpu"]) == 0
    assert read_record(tmp_path / "semi").class_map == config.class_map
    for name in ("base", "semi"):  # labels of the old classes
        assert main(["evaluate", str(tmp_path / name), "--data", str(toy_world), "--device", "cpu"]) == 0
        (written,) = (tmp_path / name / "evaluations").iterdir()
        assert set(json.loads(written.read_text())["seg"]["iou"]) == {"thing", "floor"}


def test_another_map_is_another_run(tmp_path: Path, toy_world: Path, things: str, capsys) -> None:
    train = ["train", "--source", str(toy_world), "--out", str(tmp_path / "run"), *TINY, "--batch", "4"]
    train += ["--stage", "transfer", "--transfer-steps", "1", "--device", "cpu", "--class-map", things]
    assert main(train) == 0
    Path(things).write_text(json.dumps({"box": "thing", "wall": "ignore"}))
    assert main(train) == 2
    assert "was begun on other data" in capsys.readouterr().err


def test_what_cannot_be_merged(tmp_path: Path, toy_world: Path, capsys) -> None:
    make_run(tmp_path / "run", "noadv")
    (tmp_path / "typo.json").write_text(json.dumps({"bax": "thing"}))
    given = ["--class-map", str(tmp_path / "typo.json"), "--device", "cpu"]
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(toy_world), *given]) == 2
    assert "'bax', which" in capsys.readouterr().err
    out = ["--out", str(tmp_path / "out")]
    assert main(["predict", str(tmp_path / "run"), str(toy_world), *out, *given]) == 2
    assert "is 'box' meant?" in capsys.readouterr().err
    (tmp_path / "model.onnx").write_bytes(b"")
    assert main(["predict", str(tmp_path / "model.onnx"), str(toy_world), *out, *given]) == 2
    assert "whose classes are fixed" in capsys.readouterr().err
    make_run(tmp_path / "depth", tasks=("depth",), graph={}, classes=())
    assert main(["predict", str(tmp_path / "depth"), str(toy_world), *out, *given]) == 2
    assert "predicts depth alone" in capsys.readouterr().err
