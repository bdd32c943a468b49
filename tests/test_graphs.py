"""Any tasks, any graph: from training to the report, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.folder import Folder

TINY = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()
FOUR = ["--tasks", "depth,normals,seg,edges"]
FOUR += [word for edge in ("seg<-depth,normals", "depth<-seg", "edges<-depth") for word in ("--transfer", edge)]


def whole_way(arguments: list[str], world: Path, root: Path) -> tuple[dict, dict, Folder]:
    """train, adapt, evaluate, score, predict, evaluate --predictions, report; (evaluation, config, predictions)."""
    write_toy_world(root / "photos", 4, seed=1)
    for task in ("depth", "normals", "seg"):
        for file in (root / "photos" / task).iterdir():
            file.unlink()
    base, adapted, photos = str(root / "base"), str(root / "noadv"), str(root / "photos")
    assert main(["train", "--source", str(world), "--out", base, *arguments, *TINY, *STEPS]) == 0
    method = "--method noadv --steps 2 --batch 2 --candidates 1".split()
    assert main(["adapt", base, "--target", photos, "--out", adapted, *method]) == 0
    data = ["--data", str(world)]
    assert main(["evaluate", base, *data]) == 0
    assert main(["evaluate", adapted, *data, "--json", str(root / "run.json")]) == 0
    assert main(["score", base, adapted, "--photos", photos, "--json", str(root / "score.json")]) == 0
    assert main(["predict", adapted, str(world), "--out", str(root / "out")]) == 0
    assert main(["evaluate", "--predictions", str(root / "out"), *data, "--json", str(root / "files.json")]) == 0
    assert main(["report", base, adapted, "--out", str(root / "page.html"), "--pictures", "1"]) == 0
    run, files = (json.loads((root / name).read_text()) for name in ("run.json", "files.json"))
    config = json.loads((root / "noadv" / "config.json").read_text())
    ranking = json.loads((root / "score.json").read_text())["ranking"]
    tasks = config["model"]["tasks"]
    assert set(ranking[0]["energy"]) == set(config["model"]["graph"])
    assert set(tasks) == set(run) & {"depth", "normals", "seg", "edges"} == set(files) & set(tasks)
    text = (root / "page.html").read_text()
    for task in tasks:
        assert f'alt="{task}, truth"' in text
        for key, value in run[task].items():
            if key not in ("iou", "threshold"):
                abs_ = 0.3 if task == "normals" else 0.02  # degrees, or shares and metres: the files are rounded
                assert files[task][key] == pytest.approx(value, rel=0.05, abs=abs_), (task, key)
    return run, config, Folder(root / "out")


def test_outdoors(tmp_path: Path, toy_world: Path) -> None:
    run, config, out = whole_way(["--preset", "outdoor"], toy_world, tmp_path)
    assert config["model"]["graph"] == {"seg": ["depth"], "depth": ["seg"]}
    assert config["model"]["depth_scale_m"] == 80
    assert config["model"]["size"] == [64, 96], "an option beside the preset wins"
    assert "normals" not in run
    assert not (out.root / "normals").exists()
    labels = tmp_path / "labels" / "normals"  # of somebody else, though this network would write none there
    labels.mkdir(parents=True)
    assert main(["predict", str(tmp_path / "noadv"), str(toy_world), "--out", str(labels.parent)]) == 2
    assert list(labels.parent.iterdir()) == [labels]


def test_four_tasks(tmp_path: Path, toy_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, config, out = whole_way(FOUR, toy_world, tmp_path)
    assert list(config["model"]["graph"]) == ["seg", "depth", "edges"]
    assert "transfer edges<-depth on" in capsys.readouterr().out
    assert 0 < run["edges"]["share"] < 0.5
    assert {path.name for path in (out.root / "trust").glob("*/")} == {"seg", "depth", "edges"}
    shares = out.read_share("edges", "000")
    assert shares is not None
    assert shares == pytest.approx(np.load(out.root / "npy" / "edges" / "000.npy").astype(np.float32), abs=0.003)
    assert "Occlusion edges" in (tmp_path / "page.html").read_text()


def test_geometry_beside_nets(tmp_path: Path, toy_world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edges = ["--transfer", "seg<-depth,normals", "--transfer", "normals<-depth:geometry", "--alpha", "1"]
    _, config, out = whole_way(edges, toy_world, tmp_path)
    assert config["model"]["graph"] == {"seg": ["depth", "normals"], "normals": ["depth"]}
    assert config["model"]["geometry"] == ["normals"]
    said = capsys.readouterr().out
    degrees = float(said.split("transfer normals<-depth on")[1].split("degrees ")[1].split(",")[0])
    assert degrees < 25, "of true depth geometry makes true normals: more or less, at 32 x 48, of boxes"
    assert {path.name for path in (out.root / "trust").glob("*/")} == {"seg", "normals"}
    assert "normals ← depth (geometry)" in (tmp_path / "page.html").read_text()
    for method in ("adv", "self-training"):
        looks = ["--looks", "mirror,transfer"] if method == "self-training" else ["--critic-every", "1"]
        words = ["adapt", str(tmp_path / "base"), "--target", str(tmp_path / "photos"), "--out", str(tmp_path / method)]
        steps = ["--method", method, "--steps", "2", "--batch", "2", "--candidates", "0"]
        assert main([*words, *steps, *looks]) == 0


def test_geometry_alone_needs_no_stage_of_transfer_nets(tmp_path: Path, toy_world: Path) -> None:
    edge = ["--transfer", "normals<-depth:geometry"]
    assert main(["train", "--source", str(toy_world), "--out", str(tmp_path / "run"), *edge, *TINY, *STEPS]) == 0
    log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in log} == {"base", "contour"}
    assert any("normals/distil" in key for line in log for key in line)


@pytest.fixture(scope="module")
def four(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of four tasks, photos, and a run adapted to them by `adv`."""
    root = tmp_path_factory.mktemp("four")
    write_toy_world(root / "photos", 4, seed=1)
    assert main(["train", "--source", str(toy_world), "--out", str(root / "base"), *FOUR, *TINY, *STEPS]) == 0
    assert main([*adapt_four(root, "adv"), "--critic-every", "1"]) == 0
    return root


def adapt_four(root: Path, method: str) -> list[str]:
    words = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(root / method)]
    return [*words, "--method", method, "--steps", "2", "--batch", "2", "--candidates", "0"]


@pytest.mark.parametrize(
    "method", ["noadv-1", "b-ccr", "b-fcf", "adabn", "minent", "output-adv", "mean-teacher", "self-training"]
)
def test_every_method_adapts_four_tasks(four: Path, method: str) -> None:
    assert main(adapt_four(four, method)) == 0
    base, run = (safetensors.torch.load_file(four / name / "model.safetensors") for name in ("base", method))
    target = [name for name in run if name.startswith("encoder.branches.target")]
    assert target
    assert all(torch.isfinite(run[name]).all() for name in run)
    moved = [name for name in target if not torch.equal(run[name], base[name.replace("target", "source")])]
    weights = [name for name in moved if name.endswith("weight")]
    assert moved
    assert bool(weights) == (method != "adabn")


@pytest.mark.parametrize("method", ["noadv", "adv", "b-ccr", "minent", "output-adv", "mean-teacher"])
def test_every_method_can_rehearse_the_source(four: Path, method: str, tmp_path: Path) -> None:
    shutil.copytree(four / "base", tmp_path / "base")
    shutil.copytree(four / "photos", tmp_path / "photos")
    assert main([*adapt_four(tmp_path, method), "--rehearse", "--adapt", "all"]) == 0
    log = [json.loads(line) for line in (tmp_path / method / "metrics.jsonl").read_text().splitlines()]
    learnt = {key for line in log for key in line if key.startswith("rehearsal/") and not key.endswith("grad")}
    assert {f"rehearsal/{task}" for task in ("depth", "normals", "seg", "edges")} <= learnt


def test_self_training_learns_from_labelled_photos(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where they lack labels of some tasks; other methods refuse them."""
    shutil.copytree(four / "base", tmp_path / "base")
    shutil.copytree(four / "photos", tmp_path / "photos")
    shutil.rmtree(tmp_path / "photos" / "depth")
    labelled = ["--labelled", str(tmp_path / "photos")]
    assert main([*adapt_four(tmp_path, "noadv"), *labelled]) == 2
    assert "--labelled is of self-training" in capsys.readouterr().err
    assert main([*adapt_four(tmp_path, "self-training"), *labelled]) == 0
    log = [json.loads(line) for line in (tmp_path / "self-training" / "metrics.jsonl").read_text().splitlines()]
    assert log[-1]["student/normals/photos"] > 1e-3
    assert log[-1]["student/depth/photos"] == pytest.approx(1e-6), "there is no label, and no gradient"
    assert json.loads((tmp_path / "self-training" / "config.json").read_text())["variant"] == "self-training-labelled"


def test_self_training_learns_from_a_share_of_the_labelled_photos(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels of the others may be broken: nobody reads them."""
    shutil.copytree(four / "base", tmp_path / "base")
    shutil.copytree(four / "photos", tmp_path / "photos")
    labelled, half = ["--labelled", str(tmp_path / "photos")], ["--labelled-share", "0.5"]
    first, broken, _, last = sorted((tmp_path / "photos" / "depth").iterdir())
    for path in (broken, last):
        path.write_bytes(b"no picture")
    command = adapt_four(tmp_path, "self-training")
    assert main([*command, *half]) == 2
    assert "give them by --labelled" in capsys.readouterr().err
    assert main([*command, *labelled, "--labelled-share", "0"]) == 2
    assert "--labelled-share 0 is no share" in capsys.readouterr().err
    assert main([*command, *labelled, *half]) == 0
    first.write_bytes(b"no picture")
    command[command.index("--out") + 1] += "-again"
    assert main([*command, *labelled, *half]) == 2
    assert str(first) in capsys.readouterr().err


def test_what_takes_no_steps_cannot_rehearse(four: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = adapt_four(four, "adabn")
    command[command.index("--out") + 1] += "-rehearsing"
    assert main([*command, "--rehearse"]) == 2
    assert "--rehearse is of methods that take steps" in capsys.readouterr().err


def test_semi_and_trust_with_four_tasks(four: Path, toy_world: Path, tmp_path: Path) -> None:
    """Depth labels train edges too; edges have a trust map, and it is measured."""
    command = ["semi", str(four / "adv"), "--target", str(four / "photos"), "--labelled", str(toy_world)]
    assert main([*command, "--out", str(tmp_path / "semi"), "--steps", "4", "--batch", "2"]) == 0
    log = [json.loads(line) for line in (tmp_path / "semi" / "metrics.jsonl").read_text().splitlines()]
    assert "labelled-edges" in {key.split("/")[0] for line in log for key in line}
    file = tmp_path / "trust.json"
    assert main(["trust", str(tmp_path / "semi"), "--data", str(toy_world), "--json", str(file)]) == 0
    assert {"seg", "depth", "edges"} <= set(json.loads(file.read_text()))


def test_edges_without_depth_as_a_task_and_read_by_others(tmp_path: Path, toy_world: Path) -> None:
    """Edges need labels of depth, not the task; seg reads them; `adv` reads source labels alone."""
    graph = ["--tasks", "edges,seg", "--transfer", "seg<-edges", "--transfer", "edges<-seg"]
    base = str(tmp_path / "base")
    assert main(["train", "--source", str(toy_world), "--out", base, *graph, *TINY, *STEPS]) == 0
    write_toy_world(tmp_path / "photos", 4, seed=1)
    adapt = ["adapt", base, "--target", str(tmp_path / "photos"), "--out", str(tmp_path / "adv"), "--method", "adv"]
    assert main([*adapt, "--steps", "2", "--batch", "2", "--critic-every", "1", "--candidates", "0"]) == 0
    assert main(["evaluate", str(tmp_path / "adv"), "--data", str(toy_world), "--json", str(tmp_path / "m.json")]) == 0
    assert {"edges", "seg"} <= set(json.loads((tmp_path / "m.json").read_text()))


def test_edges_without_depth_labels_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy_world(tmp_path / "world", 4, seed=0)
    for file in (tmp_path / "world" / "depth").iterdir():
        file.unlink()
    arguments = ["train", "--source", str(tmp_path / "world"), "--out", str(tmp_path / "run"), "--tasks", "edges,seg"]
    assert main([*arguments, *TINY]) == 2
    assert "no labels of depth" in capsys.readouterr().err
