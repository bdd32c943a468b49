"""A run as one half-precision file, and what a model that ships can do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import umadapt
from toy_runs import make_run
from toys import write_toy_world
from umadapt.cli import main
from umadapt.errors import UserError
from umadapt.inference.hub import write_run
from umadapt.training import run_file
from umadapt.training.load import load_model, read_record

TINY = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()


@pytest.fixture(scope="module")
def root(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, one adapted from it, and the files of both."""
    out = tmp_path_factory.mktemp("files")
    write_toy_world(out / "photos", 4, seed=1)
    assert main(["train", "--source", str(toy_world), "--out", str(out / "base"), *TINY, *STEPS]) == 0
    adapt = ["adapt", str(out / "base"), "--target", str(out / "photos"), "--out", str(out / "adapted")]
    assert main([*adapt, "--method", "self-training", "--steps", "2", "--batch", "2"]) == 0
    for run in ("base", "adapted"):
        assert (
            main(["export", str(out / run), "--format", "safetensors", "--out", str(out / f"{run}.safetensors")]) == 0
        )
    return out


@pytest.mark.parametrize("run", ["base", "adapted"])
def test_the_file_predicts_what_the_run_does(root: Path, run: str) -> None:
    photo = next((root / "photos" / "image").iterdir())
    whole, file = (umadapt.load(root / name, "cpu").predict(photo) for name in (run, f"{run}.safetensors"))
    np.testing.assert_allclose(file["depth"], whole["depth"], rtol=1e-2)
    assert (file["seg"] == whole["seg"]).mean() > 0.99
    assert (root / f"{run}.safetensors").stat().st_size < 0.7 * (root / run / "model.safetensors").stat().st_size


def test_a_file_names_no_folder_of_the_machine(root: Path) -> None:
    header = json.dumps(run_file.read_record(root / "adapted.safetensors").to_json())
    assert str(root) not in header
    assert json.loads(header)["adapted"]["method"] == "self-training"


def test_a_file_is_adapted_again_and_measured(root: Path, toy_world: Path, tmp_path: Path) -> None:
    again = ["adapt", str(root / "adapted.safetensors"), "--target", str(root / "photos"), "--out", str(tmp_path / "o")]
    options = ["--method", "self-training", "--source", str(toy_world), "--steps", "1", "--batch", "2"]
    assert main([*again, *options]) == 0
    assert main(["evaluate", str(root / "adapted.safetensors"), "--data", str(toy_world)]) == 0
    assert not (root / "evaluations").exists()


def test_a_model_that_ships_is_known_by_name_and_a_folder_of_that_name_wins(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "toy.safetensors").write_bytes((root / "base.safetensors").read_bytes())
    monkeypatch.setattr(run_file, "MODELS", models)
    monkeypatch.chdir(tmp_path)
    assert load_model(Path("toy"), "cpu")[1].model.size == (64, 96)
    assert main(["predict", "toy", str(root / "photos"), "--out", "out"]) == 0
    with pytest.raises(UserError, match="models that ship: toy"):
        load_model(Path("other"), "cpu")
    make_run(tmp_path / "toy", size=(32, 64))
    assert load_model(Path("toy"), "cpu")[1].model.size == (32, 64)


def test_what_is_left_out_of_a_file_is_not_needed_to_predict(root: Path, tmp_path: Path) -> None:
    """Without contour decoder and one transfer net: it predicts, self-trains to the same weights each time, and
    refuses what reads contours."""
    record = read_record(root / "base")
    file = tmp_path / "small.safetensors"
    run_file.write(file, record, record, run_file.read_tensors(root / "base.safetensors"), ("contour", "depth"))
    assert file.stat().st_size < (root / "base.safetensors").stat().st_size
    photo = next((root / "photos" / "image").iterdir())
    whole, small = (umadapt.load(name, "cpu").predict(photo) for name in (root / "base.safetensors", file))
    np.testing.assert_array_equal(small["depth"], whole["depth"])
    assert set(small["trust"]) == {"seg"}
    common = ["adapt", str(file), "--target", str(root / "photos"), "--source", str(root / "photos"), "--out"]
    steps = ["--steps", "1", "--batch", "2"]
    for out in ("out", "again"):
        assert main([*common, str(tmp_path / out), *steps, "--method", "self-training"]) == 0
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("out", "again")]
    assert weights[0] == weights[1]  # of the parts, too, that were left out
    write_run(tmp_path / "out", tmp_path / "once more.safetensors")
    assert (tmp_path / "once more.safetensors").stat().st_size < 1.1 * file.stat().st_size
    assert main([*common, str(tmp_path / "no"), *steps, "--method", "noadv"]) == 2


def test_a_source_that_did_not_come_along_is_asked_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = ["adapt", str(root / "base.safetensors"), "--target", str(root / "photos"), "--out", str(root / "no")]
    assert main([*again, "--method", "self-training"]) == 2
    assert "rendered rooms have other classes; give --source DATA" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "no sound safetensors"), (b"\x08\0\0\0\0\0\0\0{}      ", "holds no run"), (b"\xff" * 99, "no sound")],
)
def test_a_file_that_is_none_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=said):
        load_model(tmp_path / "x.safetensors", "cpu")


def test_a_weight_that_half_precision_does_not_hold_is_refused() -> None:
    with pytest.raises(UserError, match="does not hold"):
        run_file.halved("w", torch.full((2, 2), 1e6))
    assert run_file.halved("norm.running_var", torch.full((2,), 1e6)).dtype == torch.float32


def test_what_an_adaptation_moved_by_less_than_a_step_of_half_precision_is_not_undone() -> None:
    began = (torch.rand(200, 300) - 0.5).half().float()
    moved = began + 1e-5
    assert torch.equal(run_file.halved("w", began), began.half())  # what it holds stays
    assert (moved.half().float() - began).mean() < 3e-6
    stored = run_file.halved("w", moved)
    assert (stored.float() - began).mean() == pytest.approx(1e-5, rel=0.1)
    assert (stored.float() - moved).abs().max() <= 2.0**-11  # a step of half precision near .5
    assert torch.equal(stored, run_file.halved("w", moved))
    tiny = torch.full((100, 100), 2.0**-26)  # below the least that half precision holds
    assert run_file.halved("w", tiny).float().mean() == pytest.approx(2.0**-26, rel=0.2)
