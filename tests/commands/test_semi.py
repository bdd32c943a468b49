"""UM-Adapt-S through the command line: tasks are trained where they have labels, and only there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.batch import Batch
from umadapt.training.load import read_record
from umadapt.training.stage import Loss, Turn
from umadapt.training.trainer import blame

SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.05 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 60 --base-steps 40 --contour-steps 10 --lr 3e-3".split()


def keep_only(data: Path, task: str) -> None:
    """Delete the label folders of the other tasks."""
    meta = json.loads((data / "dataset.json").read_text())
    for other in ("depth", "normals", "seg"):
        if other != task:
            shutil.rmtree(data / other)
            del meta["tasks"][other]
    (data / "dataset.json").write_text(json.dumps(meta))


@pytest.fixture(scope="module")
def adapted(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("semi")
    write_toy_world(root / "photos", 6, seed=4)
    assert main(["train", "--source", str(toy_world), "--out", str(root / "base"), *SMALL, *STEPS, "--alpha", "2"]) == 0
    command = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(root / "adapted")]
    assert main([*command, "--method", "adabn", "--batch", "4"]) == 0
    return root


def semi(adapted: Path, out: Path, *more: str) -> int:
    common = ["--target", str(adapted / "photos"), "--out", str(out), "--batch", "4"]
    return main(["semi", str(adapted / "adapted"), *common, *more])


def errors(run: Path, data: Path, out: Path, *more: str) -> dict:
    assert main(["evaluate", str(run), "--data", str(data), "--json", str(out), *more]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("what", [(), ("--train-decoders",)], ids=["Res-5", "decoders too"])
def test_depth_from_one_folder_and_classes_from_another(adapted: Path, tmp_path: Path, what: tuple[str, ...]) -> None:
    """Each task improves on a split that its folder has held out."""
    for task, seed in (("depth", 10), ("seg", 11)):
        data = tmp_path / task
        write_toy_world(data, 14, seed=seed)
        keep_only(data, task)
        meta = json.loads((data / "dataset.json").read_text())
        del meta["camera"]  # else normals would be learnt too, from depth
        (data / "dataset.json").write_text(json.dumps(meta))
        names = [f"{i:03d}" for i in range(14)]
        (data / "splits").mkdir()
        (data / "splits" / "train.txt").write_text("\n".join(names[:10]))
        (data / "splits" / "test.txt").write_text("\n".join(names[10:]))
    labelled = ["--labelled", f"{tmp_path}/depth:train", "--labelled", f"{tmp_path}/seg:train"]
    recipe = ["--steps", "30", "--lr", "3e-3", "--mix", "alternate", *what]
    assert semi(adapted, tmp_path / "run", *labelled, *recipe) == 0
    for task, figure, better in (("depth", "rel", -1), ("seg", "pacc", 1)):
        before = errors(adapted / "adapted", Path(f"{tmp_path}/{task}:test"), tmp_path / "before.json")
        after = errors(tmp_path / "run", Path(f"{tmp_path}/{task}:test"), tmp_path / "after.json")
        assert better * after[task][figure] > better * before[task][figure]
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    learned = {key.split("/")[0] for line in log for key in line if key.startswith("labelled-")}
    assert learned == {"labelled-depth", "labelled-seg"}, "normals have no label and take no step"


def test_normals_are_learnt_from_depth(adapted: Path, tmp_path: Path) -> None:
    """Where the labelled photos have none of their own."""
    write_toy_world(tmp_path / "data", 10, seed=10)
    keep_only(tmp_path / "data", "depth")
    assert semi(adapted, tmp_path / "run", "--labelled", f"{tmp_path}/data", "--steps", "30", "--lr", "3e-3") == 0
    whole = tmp_path / "whole"
    write_toy_world(whole, 4, seed=11)
    runs, more = (adapted / "adapted", tmp_path / "run"), "--normals-from-depth"
    before, after = (errors(run, whole, tmp_path / "e.json", more) for run in runs)
    for task, figure in (("depth", "rel"), ("normals", "mean")):
        assert after[task][figure] < before[task][figure]


def test_res5_alone_is_trained_and_a_resumed_run_ends_the_same(adapted: Path, tmp_path: Path) -> None:
    data = tmp_path / "labelled"
    write_toy_world(data, 5, seed=3)
    (data / "seg" / "001.png").unlink()  # single images may lack a task
    (data / "depth" / "002.png").unlink()
    options = ["--labelled", str(data), "--steps", "4", "--lr", "1e-2", "--save-every", "2"]
    assert semi(adapted, tmp_path / "whole", *options) == 0
    assert read_record(tmp_path / "whole").argument("alpha") == 2, "as the base was trained"
    whole = safetensors.torch.load_file(tmp_path / "whole" / "model.safetensors")
    before = safetensors.torch.load_file(adapted / "adapted" / "model.safetensors")
    moved = {name for name in whole if not torch.equal(whole[name], before[name])}
    assert moved
    assert all(name.startswith("encoder.branches.target") for name in moved)

    shutil.copytree(tmp_path / "whole", tmp_path / "cut")  # as a kill after step 2 leaves it
    (tmp_path / "cut" / "model.safetensors").unlink()
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    config["done"].remove("semi")
    (tmp_path / "cut" / "config.json").write_text(json.dumps(config))
    assert torch.load(tmp_path / "cut" / "state.pt", weights_only=True)["step"] == 2
    assert semi(adapted, tmp_path / "cut", *options) == 0
    again = safetensors.torch.load_file(tmp_path / "cut" / "model.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)

    picture = tmp_path / "cut" / "samples" / "semi.png"
    drawn = picture.read_bytes()
    picture.unlink()  # as a kill after the last step leaves it
    assert semi(adapted, tmp_path / "cut", *options) == 0
    assert picture.read_bytes() == drawn


def test_mistakes_are_named(adapted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "labelled"
    write_toy_world(data, 4, seed=3)
    common = ["--target", str(adapted / "photos"), "--labelled", str(data), "--out", str(tmp_path / "run")]
    assert main(["semi", str(adapted / "base"), *common]) == 2
    assert "is not adapted; give a run of `umadapt adapt" in capsys.readouterr().err
    assert semi(adapted, tmp_path / "run", "--labelled", str(data), "--labelled", f"{data}/") == 2
    assert "is given twice" in capsys.readouterr().err
    meta = json.loads((data / "dataset.json").read_text())
    meta["tasks"]["seg"]["classes"][0] = "ceiling"
    (data / "dataset.json").write_text(json.dumps(meta))
    assert semi(adapted, tmp_path / "run", "--labelled", str(data)) == 2
    assert "other classes" in capsys.readouterr().err
    for task in ("depth", "normals", "seg"):
        shutil.rmtree(data / task)
    assert semi(adapted, tmp_path / "run", "--labelled", str(data)) == 2
    assert "no photo with a label" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_bad_labelled_sample_is_named() -> None:
    """The blame goes through the batch inside the batch."""
    labelled = Batch(["L0", "L1"], truths={"depth": torch.tensor([[1.0], [float("nan")]])})

    def losses(batch: Batch) -> Loss:
        assert batch.labelled is not None
        return Loss({"direct": batch.labelled.truths["depth"].sum()})

    turn = Turn("labelled-depth", [], losses, 0.1)
    assert blame(turn, Batch(["000", "001"], torch.zeros(2, 1), labelled=labelled)) == "; samples 001 with labelled L1"
