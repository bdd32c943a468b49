"""What lies outside a folder's window changes nothing: not what is learnt, nor what is predicted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_runs import make_run
from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.files import read_photo, write_image, write_seg
from umadapt.data.folder import Folder
from umadapt.evaluation.evaluate import evaluate, evaluate_predictions, evaluate_predictor
from umadapt.evaluation.label_free import score
from umadapt.evaluation.sparsification import trust
from umadapt.inference.loading import load
from umadapt.inference.photos import predictor_of
from umadapt.training.load import load_model, read_weights

WINDOW = [5, 3, 91, 60]
EDGES = ((3, 4), (5, 5))  # what is outside it, of 64x96
SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "noadv"
    make_run(path, "noadv")
    return path


def inside(map_: np.ndarray) -> np.ndarray:
    left, top, right, bottom = WINDOW
    return map_[top:bottom, left:right]


def framed(root: Path, colour: tuple[int, int, int], blind: bool = False) -> Path:
    """A toy world whose photos have a border of this colour, and, if `blind`, no classes there."""
    write_toy_world(root, 6, seed=2)
    write_json(root / "dataset.json", json.loads((root / "dataset.json").read_text()) | {"window": WINDOW})
    for path in (root / "image").iterdir():
        photo = np.full((64, 96, 3), colour, np.uint8)
        inside(photo)[:] = inside(read_photo(path))
        write_image(path, photo)
        if blind:
            seg = np.full((64, 96), 255, np.uint8)
            whole = Folder(root).read_seg(path.stem)
            assert whole is not None
            inside(seg)[:] = inside(whole)
            write_seg(root / "seg" / path.name, seg)
    return root


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("framed")
    return framed(root / "magenta" / "toy", (255, 0, 255)), framed(root / "green" / "toy", (0, 255, 0))


def test_a_prediction_has_the_photos_size_and_goes_on_outside(run_path: Path, worlds: tuple[Path, Path]) -> None:
    folder, predictor = Folder(worlds[0]), load(run_path, "cpu")
    photo = folder.read_image("000")
    found = predictor.predict(photo, folder.window_of("000"))
    alone = predictor.predict(np.ascontiguousarray(inside(photo)))
    for maps, inner in ((found, alone), (found["trust"], alone["trust"])):
        assert maps.keys() == inner.keys()
        for task in maps.keys() - {"trust"}:
            edges = (*EDGES, (0, 0))[: maps[task].ndim]
            np.testing.assert_array_equal(maps[task], np.pad(inner[task], edges, mode="edge"))


def test_the_command_writes_maps_of_the_photos_size(
    run_path: Path, worlds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["predict", str(run_path), str(worlds[0]), "--out", str(out), "--device", "cpu"]) == 0
    seg = np.load(out / "npy" / "seg" / "000.npy")
    np.testing.assert_array_equal(seg, np.pad(inside(seg), EDGES, mode="edge"))
    assert (out / "image" / "000.png").read_bytes() == (worlds[0] / "image" / "000.png").read_bytes()
    meta = json.loads((worlds[1] / "dataset.json").read_text())
    small = tmp_path / "small"
    write_json(small / "dataset.json", meta)
    write_image(small / "image" / "a.png", read_photo(worlds[1] / "image" / "000.png"))
    write_image(small / "image" / "b.png", np.zeros((64, 90, 3), np.uint8))
    capsys.readouterr()
    assert main(["predict", str(run_path), str(small), "--out", str(tmp_path / "few"), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "1 of 2 photos" in said.out
    assert "b.png: found 64x90, expected at least 60x91" in said.err


def test_figures_are_of_whole_photos_and_the_border_changes_none(
    run_path: Path, worlds: tuple[Path, Path], tmp_path: Path
) -> None:
    model, stored = load_model(run_path, "cpu")
    one, two = (Folder(world) for world in worlds)
    found = evaluate(model, "target", one, "raw")
    again = evaluate_predictor(predictor_of(model, stored), one, "raw", one.ids)
    out = tmp_path / "out"
    assert main(["predict", str(run_path), str(worlds[1]), "--out", str(out), "--device", "cpu"]) == 0
    written = evaluate_predictions(Folder(out), two, "raw")
    assert found["depth"]["rel"] == pytest.approx(again["depth"]["rel"], rel=1e-5)
    assert found["depth"]["rel"] == pytest.approx(written["depth"]["rel"], abs=1e-3)  # in whole millimetres
    assert found["seg"]["pacc"] == pytest.approx(written["seg"]["pacc"])
    for measure in (
        lambda folder: evaluate(model, "target", folder, "raw"),
        lambda folder: trust(model, "target", folder, "raw"),
        lambda folder: score(model, "target", folder),
    ):
        assert measure(one) == measure(two)


def test_eight_bits_are_calibrated_on_what_is_seen(worlds: tuple[Path, Path]) -> None:
    from umadapt.commands.export_int8 import Photos

    folder = Folder(worlds[0])
    np.testing.assert_array_equal(Photos(folder, ["000"]).get_next()["photo"][0], inside(folder.read_image("000")))


def test_trust_looks_at_the_errors_of_evaluate(
    run_path: Path, worlds: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umadapt.evaluation.sparsification.PIXELS", 10**9)
    model, _ = load_model(run_path, "cpu")
    folder = Folder(worlds[0])
    figures = evaluate(model, "target", folder, "raw")
    assert trust(model, "target", folder, "raw")["errors"]["depth"]["mean"] == pytest.approx(figures["depth"]["rel"])


@pytest.mark.parametrize("method", ["noadv", "self-training"])
def test_training_and_adaptation_learn_nothing_of_the_border(
    tmp_path: Path, worlds: tuple[Path, Path], method: str
) -> None:
    sources = worlds[0], framed(tmp_path / "blind" / "toy", (0, 255, 0), blind=True)
    runs: dict[str, list[dict[str, torch.Tensor]]] = {"base": [], "adapted": [], "few": []}
    for k, (source, target) in enumerate(zip(sources, worlds[::-1], strict=True)):
        base, adapted, few = (tmp_path / f"{name}{k}" for name in runs)
        photos = ["--target", str(target)]
        more = ["--steps", "2", "--batch", "4", "--device", "cpu"]
        assert main(["train", "--source", str(source), "--out", str(base), *SMALL, *STEPS, "--device", "cpu"]) == 0
        assert main(["adapt", str(base), *photos, "--out", str(adapted), "--method", method, *more]) == 0
        assert main(["semi", str(adapted), *photos, "--labelled", str(source), "--out", str(few), *more]) == 0
        for name, run in zip(runs, (base, adapted, few), strict=True):
            runs[name].append(read_weights(run))
    for name, (one, two) in runs.items():
        assert all(torch.equal(one[key], two[key]) for key in one), name
    one, two = (read_photo(tmp_path / f"few{k}" / "samples" / "semi.png") for k in range(2))
    np.testing.assert_array_equal(one, two)
