"""Every method of `adapt` through the command line: it runs, and a run that was cut ends in the same weights."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from rank_work import adapt_and_die, together
from toy_runs import make_run
from toys import write_toy_world
from umadapt.cli import main
from umadapt.config import MethodName
from umadapt.data.viz import GAP, TITLE_HEIGHT

SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()


@pytest.fixture(scope="module")
def root(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("methods")
    write_toy_world(out / "photos", 4, seed=1)
    assert main(["train", "--source", str(toy_world), "--out", str(out / "base"), *SMALL, *STEPS]) == 0
    return out


def test_the_share_of_the_photos_statistics_counts_for_every_method(root: Path, tmp_path: Path) -> None:
    """Also for those whose own share is all of them."""
    kept = {}
    for name, share in (("none", ["--statistics-share", "0"]), ("all", [])):
        where = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(tmp_path / name)]
        assert main([*where, "--method", "adabn", *share]) == 0
        kept[name] = safetensors.torch.load_file(tmp_path / name / "model.safetensors")
    means = [name for name in kept["all"] if ".target." in name and name.endswith("running_mean")]
    assert all(torch.equal(kept["none"][n], kept["none"][n.replace(".target.", ".source.")]) for n in means)
    assert not any(torch.equal(kept["all"][n], kept["none"][n]) for n in means)


def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "base", backbone="convnext_atto", done=("transfer", "base", "contour"))
    command = ["adapt", str(tmp_path / "base"), "--target", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--method", "adabn"]) == 2
    assert "convnext_atto has none" in capsys.readouterr().err
    assert main([*command, "--method", "noadv", "--adapt", "all", "--candidates", "3"]) == 2
    assert "give --candidates 0" in capsys.readouterr().err
    assert main([*command, "--adapt", "encoder", "--method", "b-fcf"]) == 2
    assert "leave --adapt res5" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_whose_reports_are_lacking_is_not_finished(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed after its last stage: the shares of the witnesses are unknown yet."""
    base = tmp_path / "base"
    shutil.copytree(root / "base", base)
    config = json.loads((base / "config.json").read_text())
    del config["witnesses"]
    (base / "config.json").write_text(json.dumps(config))
    assert main(["adapt", str(base), "--target", str(root / "photos"), "--out", str(tmp_path / "out")]) == 2
    assert "lacks witnesses; give a run that `umadapt train` has finished" in capsys.readouterr().err


def test_an_output_critic_needs_maps_of_some_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "base", size=(32, 64), done=("transfer", "base", "contour"))
    command = ["adapt", str(tmp_path / "base"), "--target", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--method", "output-adv"]) == 2
    assert "have 16x32" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_steps_are_the_same_without_room_for_views(
    root: Path, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is kept on disk is what the step would have computed, also where networks compute in bfloat16."""
    options = ["--method", "noadv", "--steps", "4", "--batch", "3", "--kept-views", "2", "--candidates", "0"]
    options += ["--precision", precision]

    def adapt(out: Path, *more: str) -> dict[str, torch.Tensor]:
        common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(out), "--lr", "1e-3"]
        assert main([*common, *options, *more]) == 0
        assert not (out / "views").exists()
        return safetensors.torch.load_file(out / "model.safetensors")

    kept = adapt(tmp_path / "kept")
    assert "views are made again" not in capsys.readouterr().out
    shared = tmp_path / "shared"
    for name in ("first", "second"):
        found = adapt(tmp_path / name, "--shared-views", str(shared))
        assert all(torch.equal(found[key], kept[key]) for key in kept)
        assert len(list(shared.iterdir())) == 1
    monkeypatch.setattr("umadapt.training.frozen_views.FREE", 0)
    again = adapt(tmp_path / "again")
    assert "views are made again" in capsys.readouterr().out
    for name, tensor in kept.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=1e-5, msg=name)


@pytest.mark.parametrize("method", [m for m in get_args(MethodName) if m not in ("adabn", "self-training", "b-fcf")])
def test_every_method_trains_the_whole_encoder(root: Path, method: str, tmp_path: Path) -> None:
    """Its checkpoints hold all of it, the selector compares them, and the source's stays as it was."""
    common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(tmp_path / "out")]
    options = "--adapt encoder --steps 2 --batch 2 --candidates 1 --critic-every 1 --joint-steps 1 --lr 1e-3".split()
    assert main([*common, "--method", method, *options]) == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["selected"]["scores"]
    before = safetensors.torch.load_file(root / "base" / "model.safetensors")
    after = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(after[name], x) for name, x in before.items())
    last = safetensors.torch.load_file(tmp_path / "out" / "checkpoints" / f"{2:06d}.safetensors")
    weights = [name for name in last if name.startswith("0.") and name.endswith("weight")]
    assert any(not torch.equal(last[name], before[f"encoder.trunks.source.{name[2:]}"]) for name in weights)
    score = ["score", str(tmp_path / "out"), "--photos", str(root / "photos"), "--checkpoints"]
    assert main(score) == 0


@pytest.mark.parametrize("method", ["noadv", "b-ccr", "b-fcf", "output-adv"])
def test_contours_fit_grids_of_any_size(toy_world: Path, tmp_path: Path, method: str) -> None:
    """The contour decoder has 16 cells to one of Res-5's, decoders with skips half of the image's rows: 64 and 60."""
    small = (
        "--backbone test_resnet --weights none --decoder skip --size 120x160 --width 0.2 --transfer-width 0.03".split()
    )
    train = ["train", "--source", str(toy_world), "--out", str(tmp_path / "base"), *small, *STEPS, "--batch", "2"]
    assert main(train) == 0
    adapt = ["adapt", str(tmp_path / "base"), "--target", str(toy_world), "--out", str(tmp_path / "out")]
    assert main([*adapt, "--method", method, "--steps", "1", "--batch", "2", "--candidates", "0"]) == 0


def test_the_decoders_can_be_trained_too(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(tmp_path / "out")]
    assert main([*common, *"--method noadv --adapt all --steps 2 --batch 2 --candidates 0 --lr 1e-3".split()]) == 0
    before = safetensors.torch.load_file(root / "base" / "model.safetensors")
    after = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    moved = {name.split(".")[0] for name, x in before.items() if not torch.equal(after[name], x)}
    assert moved == {"decoders"}
    assert main(["score", str(tmp_path / "out"), "--photos", str(root / "photos")]) == 2
    assert "has trained its decoders" in capsys.readouterr().err


@pytest.mark.parametrize("method", [m for m in get_args(MethodName) if m != "adabn"])
def test_a_cut_run_ends_in_the_same_weights(root: Path, method: str, tmp_path: Path) -> None:
    options = "--steps 4 --save-every 2 --batch 2 --candidates 2 --critic-every 1 --joint-steps 1 --lr 1e-3".split()

    def adapt(out: Path) -> bytes:
        common = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(out)]
        assert main([*common, "--method", method, *options]) == 0
        return (out / "model.safetensors").read_bytes()

    whole = adapt(tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")  # as a kill after step 2 leaves it
    (tmp_path / "cut" / "model.safetensors").unlink()
    for step in (3, 4):
        (tmp_path / "cut" / "checkpoints" / f"{step:06d}.safetensors").unlink(missing_ok=True)
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    config["done"] = []
    chosen = config.pop("selected", None) is not None
    assert chosen == (method != "self-training")  # whose teacher is kept
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config))
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == 2
    again = adapt(tmp_path / "cut")
    assert whole == again
    for step in (0, 2, 4) if chosen else ():
        a, b = (tmp_path / d / "checkpoints" / f"{step:06d}.safetensors" for d in ("whole", "cut"))
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in get_args(MethodName) if m != "adabn"])
def test_a_killed_process_is_gone_on_with_to_the_same_bits(root: Path, method: str, tmp_path: Path) -> None:
    options = "--steps 4 --save-every 2 --batch 2 --candidates 0 --critic-every 1 --joint-steps 1 --lr 1e-3".split()

    def adapt(out: Path, killed_at: int | None = None) -> int | None:
        common = [str(root / "base"), "--target", str(root / "photos"), "--out", str(out), "--method", method]
        return together(1, adapt_and_die, [*common, *options], killed_at)[0]

    assert adapt(tmp_path / "whole") == 0
    assert adapt(tmp_path / "cut", killed_at=3) == -signal.SIGKILL
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == 2
    assert adapt(tmp_path / "cut") == 0
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_the_end_is_a_picture_of_before_and_after(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(tmp_path / "out")]
    assert main([*command, "--method", "adabn", "--device", "cpu"]) == 0
    picture = tmp_path / "out" / "samples" / "before-after.png"
    assert f"before and after: {picture}" in capsys.readouterr().out
    with Image.open(picture) as sheet:
        pixels = np.asarray(sheet).astype(int)
    width = (pixels.shape[1] - GAP) // 7  # image, and three tasks before and after
    before, after = (pixels[TITLE_HEIGHT:, k * width : (k + 1) * width] for k in (1, 2))
    assert (before != after).any()


@pytest.mark.parametrize("options", ["--method adabn", "--method noadv --steps 2 --batch 2 --candidates 1"])
def test_pictures_that_a_kill_has_left_out_are_made(root: Path, tmp_path: Path, options: str) -> None:
    out = tmp_path / "out"
    command = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(out), *options.split()]
    assert main(command) == 0
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.suffix in (".png", ".safetensors")}
    for path in (out / "samples").iterdir():
        path.unlink()
    assert main(command) == 0
    assert kept == {path: path.read_bytes() for path in out.rglob("*") if path.suffix in (".png", ".safetensors")}
