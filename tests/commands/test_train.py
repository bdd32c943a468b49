"""`train` and `adapt` through the command line: weights, arguments, and that the method does what it is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from toys import write_toy_world
from umadapt.cli import main
from umadapt.nets.encoder import create_backbone
from umadapt.training.run_folder import RunFolder

SMALL = "--size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()


def train(source: Path, out: Path, *more: str) -> int:
    return main(["train", "--source", str(source), "--out", str(out), *SMALL, *STEPS, *more])


def test_weights_from_a_file_are_used_with_its_own_normalisation(toy_world: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    net = create_backbone("test_resnet")
    meta = {"timm_model": "test_resnet", "mean": "0.5,0.5,0.5", "std": "0.25,0.25,0.25"}
    safetensors.torch.save_file(net.state_dict(), tmp_path / "w.safetensors", meta)
    arguments = ["--backbone", "test_resnet", "--weights", str(tmp_path / "w.safetensors"), "--lr", "0"]
    assert train(toy_world, tmp_path / "run", *arguments) == 0
    spec = json.loads((tmp_path / "run" / "config.json").read_text())["model"]
    assert spec["mean"] == [0.5, 0.5, 0.5]
    assert spec["std"] == [0.25, 0.25, 0.25]
    weights = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    first = next(name for name in net.state_dict() if name.endswith("weight"))
    own = net.state_dict()[first]
    assert any(t.shape == own.shape and torch.equal(t, own) for name, t in weights.items() if "encoder" in name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weights", "nowhere.safetensors"], "no such file; give imagenet, none"),
        (["--weights", "none", "--backbone", "resnet5000"], "cannot make the backbone"),
        (["--weights", "none", "--backbone", "vit_tiny_patch16_224"], "16 and 32 are needed"),
        (["--weights", "none", "--tasks", "depth,smell"], "no task 'smell'; there are depth, normals, seg, edges"),
        (["--weights", "none", "--tasks", "depth,seg,depth"], "names a task twice"),
        (["--weights", "none", "--transfer", "depth<-edges"], "needs edges"),
        (["--weights", "none", "--transfer", "depth"], "a transfer is written"),
        (["--weights", "none", "--transfer", "normals<-depth:magic"], "there is geometry, or nothing for a net"),
        (["--weights", "none", "--transfer", "seg<-depth:geometry"], "nothing that geometry knows"),
        (["--weights", "none", "--device", "tpu9"], "not to be had here"),
        (["--weights", "none", "--batch", "0"], "--batch is 0; expected 1 or more"),
        (["--weights", "none", "--holdout", "1"], "expected a share"),
        (["--weights", "none", "--transfer", "depth<-seg", "--transfer", "depth<-normals"], "two transfers"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], said: str, toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--backbone" not in arguments:
        arguments = ["--backbone", "test_resnet", *arguments]
    assert train(toy_world, tmp_path / "run", *arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists(), "nothing is left behind"


def test_a_missing_download_offers_none_and_leaves_nothing(
    toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_pretrained", refuse)
    assert train(toy_world, tmp_path / "run", "--backbone", "test_resnet") == 2
    err = capsys.readouterr().err
    assert "cannot download ImageNet weights of test_resnet" in err
    assert "--weights none" in err
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_no_weights_is_named(
    toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"hello")
    assert (
        train(toy_world, tmp_path / "run", "--backbone", "test_resnet", "--weights", str(tmp_path / "bad.safetensors"))
        == 2
    )
    assert "bad.safetensors" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "base"
    assert train(toy_world, run, "--backbone", "test_resnet", "--weights", "none") == 0
    return run


def test_adv_opens_the_source_and_noadv_does_not(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy_world(tmp_path / "photos", 4, seed=1)
    common = ["adapt", str(trained), "--target", str(tmp_path / "photos"), "--steps", "1", "--batch", "2"]
    gone = ["--source", str(tmp_path / "gone")]
    assert main([*common, *gone, "--out", str(tmp_path / "noadv"), "--method", "noadv"]) == 0
    assert main([*common, *gone, "--out", str(tmp_path / "adv"), "--method", "adv"]) == 2
    assert "labels of the run's source" in capsys.readouterr().err
    assert not (tmp_path / "adv").exists(), "so the cure that the message names can be typed with the same --out"


TINY = ["--backbone", "test_resnet", "--weights", "none"]


def test_a_run_starts_from_another_at_a_larger_size(trained: Path, toy_world: Path, tmp_path: Path) -> None:
    """All weights are taken, and the canonical camera is the same one at the new size."""
    still = "--transfer-steps 0 --base-steps 0 --contour-steps 0".split()
    assert train(toy_world, tmp_path / "out", *TINY, *still, "--size", "96x128", "--init", str(trained)) == 0
    before, after = (safetensors.torch.load_file(run / "model.safetensors") for run in (trained, tmp_path / "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    old, new = (json.loads((run / "config.json").read_text()) for run in (trained, tmp_path / "out"))
    assert new["model"]["size"] == [96, 128]
    assert new["model"]["focal"] == pytest.approx(old["model"]["focal"] * 128 / max(old["model"]["size"]))
    assert new["backbone_weights"]["trained_on_in"] == str(trained)


def test_a_run_starts_from_another_with_another_graph(
    trained: Path, toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nets of edges that both have are taken, others begin anew, and not without training."""
    still = [*TINY, *"--base-steps 0 --contour-steps 0".split(), "--init", str(trained)]
    edges = ["--transfer", "seg<-depth,normals", "--transfer", "depth<-normals"]
    assert train(toy_world, tmp_path / "out", *still, *edges, "--transfer-steps", "0") == 2
    assert "has no transfer net depth<-normals" in capsys.readouterr().err
    assert train(toy_world, tmp_path / "out", *still, *edges, "--transfer-steps", "1", "--lr", "1e-9") == 0
    before, after = (safetensors.torch.load_file(run / "model.safetensors") for run in (trained, tmp_path / "out"))
    counted = ("running_mean", "running_var", "num_batches_tracked")  # the one step moves these of the nets
    others = {name for name in before if not name.startswith("transfers.depth.") and not name.endswith(counted)}
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in others)
    assert any("transfers.depth." in name for name in after)


def test_a_start_that_does_not_fit_is_refused(
    trained: Path, toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(toy_world, tmp_path / "out", *TINY, "--init", str(trained), "--width", "0.06") == 2
    assert "has another network: width 0.03, here 0.06" in capsys.readouterr().err
    assert train(toy_world, tmp_path / "out", *TINY, "--init", str(tmp_path)) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_moving_average_of_a_base_goes_on_after_a_stop(
    toy_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*TINY, *"--ema 0.9 --base-steps 4 --save-every 2 --optimiser joint --lr 1e-3".split()]
    assert train(toy_world, tmp_path / "whole", *options) == 0
    save = RunFolder.save_state

    def stop(run: RunFolder, state: dict) -> None:
        save(run, state)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_state", stop)
    assert train(toy_world, tmp_path / "cut", *options) == 130
    monkeypatch.undo()
    assert train(toy_world, tmp_path / "cut", *options) == 0
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_an_adapted_run_is_not_adapted_again(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy_world(tmp_path / "photos", 4, seed=1)
    target = ["--target", str(tmp_path / "photos"), "--method", "adabn"]
    assert main(["adapt", str(trained), *target, "--out", str(tmp_path / "a")]) == 0
    assert main(["adapt", str(tmp_path / "a"), *target, "--out", str(tmp_path / "b")]) == 2
    assert "is adapted already" in capsys.readouterr().err


def test_one_task_has_no_transfer_net_and_trains_itself(
    toy_world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(toy_world, run, "--backbone", "test_resnet", "--weights", "none", "--tasks", "depth") == 0
    adapt = ["adapt", str(run), "--target", str(toy_world), "--out", str(tmp_path / "out")]
    assert main([*adapt, "--method", "noadv"]) == 2
    assert "use --method self-training" in capsys.readouterr().err
    assert main([*adapt, "--steps", "1", "--batch", "2"]) == 0


def test_images_without_some_labels_are_trained_where_they_have_them(tmp_path: Path) -> None:
    write_toy_world(tmp_path / "world", 6, seed=0)
    for task, index in (("seg", 0), ("depth", 1), ("normals", 2), ("seg", 3), ("depth", 3), ("normals", 3)):
        (tmp_path / "world" / task / f"{index:03d}.png").unlink()
    assert train(tmp_path / "world", tmp_path / "run", "--backbone", "test_resnet", "--weights", "none") == 0


def test_a_source_that_grew_is_refused(trained: Path, toy_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = json.loads((trained / "config.json").read_text())
    config["data"]["source"] = "another"
    (trained / "config.json").write_text(json.dumps(config))
    assert train(toy_world, trained, "--backbone", "test_resnet", "--weights", "none") == 2
    assert "begun on other data" in capsys.readouterr().err


def test_two_tasks_without_seg(toy_world: Path, tmp_path: Path) -> None:
    """Any set of tasks and any graph: here depth and normals from each other."""
    graph = ["--tasks", "depth,normals", "--transfer", "depth<-normals", "--transfer", "normals<-depth"]
    run = tmp_path / "run"
    assert train(toy_world, run, "--backbone", "test_resnet", "--weights", "none", *graph) == 0
    write_toy_world(tmp_path / "photos", 4, seed=1)
    out = str(tmp_path / "adapted")
    assert (
        main(["adapt", str(run), "--target", str(tmp_path / "photos"), "--out", out, "--steps", "2", "--batch", "2"])
        == 0
    )
    assert main(["evaluate", out, "--data", str(toy_world), "--json", str(tmp_path / "m.json")]) == 0
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert "seg" not in metrics
    assert metrics["depth"]["rel"] > 0
