"""One forward for all tasks of a step (--forward shared) beside a fresh one for each (Algorithm 2 as printed)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from toys import random_batch, tiny_spec
from umadapt.cli import main
from umadapt.config import Adapt
from umadapt.errors import UserError
from umadapt.methods import um_adapt
from umadapt.methods.method import Given
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage
from umadapt.training.trainer import take

CONFIG = Adapt(run=Path("run"), target=("photos",), out=Path("out"), method="noadv", lr=1e-5)


def make(forward: str, trains: str = "res5") -> tuple[UMAdapt, Stage]:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec() if trains == "res5" else tiny_spec(decoder="skip", width=0.2))
    model.encoder.add_target(share=trains == "res5")
    config = dataclasses.replace(CONFIG, forward=forward, adapt=trains)
    stage = um_adapt.stage(model, config, lambda k: random_batch(model))
    model.train()
    return model, stage


def gradients(forward: str, trains: str) -> dict[str, tuple[float, list[Tensor]]]:
    """The value and the gradients of every turn, at weights that stand still."""
    model, stage = make(forward, trains)
    torch.manual_seed(1)
    batch = stage.prepare(random_batch(model))
    found = {}
    for turn in stage.turns:
        total = torch.stack(list(turn.loss(batch).terms.values())).sum()
        grads = torch.autograd.grad(total, turn.parameters, allow_unused=True, materialize_grads=True)
        found[turn.name] = float(total.detach()), list(grads)
    return found


@pytest.mark.parametrize("trains", ["res5", "encoder", "all"])
def test_the_same_gradients_before_the_first_update(trains: str) -> None:
    fresh, shared = gradients("fresh", trains), gradients("shared", trains)
    assert list(fresh) == list(shared) == ["seg", "depth"]
    for task, (value, grads) in fresh.items():
        assert shared[task][0] == pytest.approx(value, rel=1e-6)
        for a, b in zip(grads, shared[task][1], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def walk(forward: str, steps: int) -> Tensor:
    """How far Res-5 has gone after a few steps, as one vector."""
    model, stage = make(forward)
    start = [p.detach().clone() for p in stage.turns[0].parameters]
    optimisers = {turn.name: torch.optim.Adam(turn.parameters, lr=turn.lr) for turn in stage.turns}
    for step in range(steps):
        torch.manual_seed(step)
        batch = stage.prepare(random_batch(model, seed=step))
        for turn in stage.turns:
            take(turn, batch, optimisers[turn.name], 10.0, step == 0, "test")
    return torch.cat([(p.detach() - s).flatten() for p, s in zip(stage.turns[0].parameters, start, strict=True)])


def test_ten_steps_go_the_same_way() -> None:
    fresh, shared = walk("fresh", 10), walk("shared", 10)
    assert float(fresh.norm()) > 0
    assert float(torch.cosine_similarity(fresh, shared, dim=0)) > 0.99
    assert float((fresh - shared).norm() / fresh.norm()) < 0.2  # measured: 0.11


def test_a_bad_sample_is_named() -> None:
    model, stage = make("shared")
    batch = random_batch(model)
    batch.contours[2] = float("nan")
    optimiser = torch.optim.Adam(stage.turns[0].parameters)
    with pytest.raises(UserError, match="samples 002;"):
        take(stage.turns[0], stage.prepare(batch), optimiser, 10.0, False, "step 1")


def test_command(toy_world: Path, tmp_path: Path) -> None:
    tiny = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
    steps = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()
    base, out = str(tmp_path / "base"), str(tmp_path / "out")
    assert main(["train", "--source", str(toy_world), "--out", base, *tiny, *steps]) == 0
    command = ["adapt", base, "--target", str(toy_world), "--out", out, "--forward", "shared", "--method", "adv"]
    assert main([*command, "--steps", "5", "--batch", "4", "--candidates", "0"]) == 0
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_a_batch_may_be_prepared_again() -> None:
    """What one step adds to a batch of kept features does not reach the next."""
    model, stage = make("shared")
    assert stage.frozen is not None
    kept = stage.frozen(random_batch(model))
    before = set(kept.trunk)
    for _ in range(2):
        torch.manual_seed(1)
        assert stage.turns[0].loss(stage.prepare(kept)).terms
    assert set(kept.trunk) == before


def test_photos_are_predicted_once_for_all_critics(tiny: UMAdapt, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one sample, by which a bad one is found, by itself."""
    tiny.encoder.add_target()
    config = dataclasses.replace(CONFIG, method="adv")
    batch = dataclasses.replace(random_batch(tiny), source=random_batch(tiny, seed=1))
    stage = um_adapt.stage(tiny, config, lambda k: batch, Given(dict.fromkeys(tiny.graph, 1.0)))
    tiny.train()
    step, decode, sizes = stage.prepare(batch), tiny.decode, list[int]()

    def counted(features: dict[str, Tensor], tasks: tuple[str, ...] | None = None) -> dict[str, Tensor]:
        sizes.append(len(features["res5"]))
        return decode(features, tasks)

    monkeypatch.setattr(tiny, "decode", counted)
    critics = [turn for turn in stage.turns if turn.name.startswith("critic")]
    assert len(critics) == 2
    for turn in critics:
        assert not step.fakes["seg"].requires_grad
        turn.loss(step)
    assert sizes == [4]
    critics[0].loss(step.only(2))
    assert sizes == [4, 1]
    assert step.updates
    assert not step.only(2).updates, "which are of the whole batch"
