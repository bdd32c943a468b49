"""Checkpoints of an adaptation and the choice among them: no label is read, and a kill changes nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import pytest
import safetensors.torch
import torch

from toys import write_toy_world
from umadapt.cli import main
from umadapt.commands import adapt as command
from umadapt.config import MethodName
from umadapt.evaluation.label_free import figures, refer, summary
from umadapt.evaluation.selection import choose
from umadapt.nets.model import UMAdapt
from umadapt.training.candidates import candidate_path, candidate_steps, candidates

SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 3 --base-steps 3 --contour-steps 2".split()


@pytest.fixture(scope="module")
def base(toy_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("selection") / "base"
    assert main(["train", "--source", str(toy_world), "--out", str(run), *SMALL, *STEPS, "--lr", "2e-4"]) == 0
    return run


def adapt(base: Path, photos: Path, out: Path, *more: str) -> dict[str, torch.Tensor]:
    common = ["--method", "noadv", "--steps", "4", "--batch", "2", "--candidates", "2", "--lr", "1e-2"]
    assert main(["adapt", str(base), "--target", str(photos), "--out", str(out), *common, *more]) == 0
    return safetensors.torch.load_file(out / "model.safetensors")


def branch_of(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    root = "encoder.branches.target."
    return {name.removeprefix(root): tensor for name, tensor in weights.items() if name.startswith(root)}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_candidates_are_spread_from_start_to_end() -> None:
    assert candidate_steps(50, 5) == (0, 10, 20, 30, 40, 50)
    assert candidate_steps(3, 5) == (0, 1, 2, 3)
    assert candidate_steps(50, 0) == ()


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ("noadv", 1e-5),
        ("self-training", 1e-3),
        ("mean-teacher", 1e-5),
        ("noadv --lr 0.5", 0.5),
    ],
)
def test_every_method_has_a_rate_of_its_own(base: Path, tmp_path: Path, options: str, rate: float) -> None:
    write_toy_world(tmp_path / "photos", 2, seed=1)
    words = ["adapt", str(base), "--target", str(tmp_path / "photos"), "--out", str(tmp_path / "run")]
    assert main([*words, "--method", *options.split(), "--steps", "1", "--batch", "2", "--candidates", "0"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["command"]["lr"] == rate


def test_the_kept_weights_are_the_chosen_candidates(base: Path, tmp_path: Path) -> None:
    write_toy_world(tmp_path / "photos", 5, seed=1)
    kept = adapt(base, tmp_path / "photos", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert candidates(tmp_path / "run") == [0, 2, 4] == [row["step"] for row in config["selected"]["scores"]]
    branch = branch_of(kept)
    step = config["selected"]["step"]
    assert same(branch, safetensors.torch.load_file(candidate_path(tmp_path / "run", step)))
    assert not same(branch, safetensors.torch.load_file(candidate_path(tmp_path / "run", (step + 2) % 6)))


@pytest.mark.parametrize("method", get_args(MethodName))
def test_labels_of_the_target_are_never_read(base: Path, method: str, tmp_path: Path) -> None:
    """Every label file of the target is replaced by rubbish, and the weights stay the same."""
    write_toy_world(tmp_path / "photos", 5, seed=1)
    shutil.copytree(tmp_path / "photos", tmp_path / "rubbish")
    for task in ("depth", "normals", "seg"):
        for path in (tmp_path / "rubbish" / task).iterdir():
            path.write_bytes(b"rubbish")
    assert same(
        adapt(base, tmp_path / "photos", tmp_path / "a", "--method", method, "--joint-steps", "1"),
        adapt(base, tmp_path / "rubbish", tmp_path / "b", "--method", method, "--joint-steps", "1"),
    )


def test_a_kill_between_training_and_choice_is_made_good(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy_world(tmp_path / "photos", 5, seed=1)
    whole = adapt(base, tmp_path / "photos", tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(command, "select", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(AssertionError):
            adapt(base, tmp_path / "photos", tmp_path / "cut")
    assert same(adapt(base, tmp_path / "photos", tmp_path / "cut"), whole)


def test_without_candidates_the_last_weights_are_kept(base: Path, tmp_path: Path) -> None:
    write_toy_world(tmp_path / "photos", 5, seed=1)
    last = adapt(base, tmp_path / "photos", tmp_path / "last", "--candidates", "0")
    assert candidates(tmp_path / "last") == []
    adapt(base, tmp_path / "photos", tmp_path / "run")
    final = safetensors.torch.load_file(candidate_path(tmp_path / "run", 4))
    assert same(branch_of(last), final)


@torch.no_grad()
def test_collapse_is_not_taken_for_agreement(tiny: UMAdapt, monkeypatch: pytest.MonkeyPatch) -> None:
    """One class everywhere, of which the network is sure, has the lowest energy; the choice does not fall on it."""
    monkeypatch.setattr(tiny, "cross", lambda maps: {task: maps[task] for task in tiny.graph})  # all tasks agree
    reference = refer(tiny.eval(), torch.rand(2, 3, 64, 96))
    near = {task: map_ + 0.01 for task, map_ in reference.agreed.items()}
    collapsed = near | {"seg": torch.zeros_like(near["seg"]).index_fill(1, torch.tensor([2]), 50.0)}
    rows = [summary(tiny, figures(tiny, ["a", "b"], maps, reference)) for maps in (collapsed, near)]
    assert rows[0]["energy"]["seg"] < 1e-3 < rows[1]["energy"]["seg"]
    assert rows[0]["diversity"] < 1e-3
    assert choose(rows) == 1


def test_scores_of_every_checkpoint(base: Path, tmp_path: Path) -> None:
    """`score --checkpoints` on photos without labels ranks the checkpoints of all runs."""
    write_toy_world(tmp_path / "photos", 5, seed=1)
    for task in ("depth", "normals", "seg"):
        shutil.rmtree(tmp_path / "photos" / task)
    adapt(base, tmp_path / "photos", tmp_path / "run")
    command = ["score", str(base), str(tmp_path / "run"), "--photos", str(tmp_path / "photos"), "--checkpoints"]
    assert main([*command, "--json", str(tmp_path / "scores.json")]) == 0
    rows = json.loads((tmp_path / "scores.json").read_text())["ranking"]
    assert sorted(row.get("step", -1) for row in rows) == [-1, 0, 2, 4]
    chosen = json.loads((tmp_path / "run" / "config.json").read_text())["selected"]
    assert next(row["step"] for row in rows if "step" in row) == chosen["step"]
    for seen in chosen["scores"]:  # while adapting, with one pass of what they share
        (row,) = [row for row in rows if row.get("step") == seen["step"]]
        assert seen["distance"] == pytest.approx(row["distance"], rel=1e-4)
        assert seen["energy"] == pytest.approx(row["energy"], rel=1e-4)
