"""Ours and the paper's algorithms written down as printed: the same losses and gradients on the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from benchmarks.literal import LiteralModel, base_loss, critic_loss, generator_loss
from torch import Tensor, nn

from toys import random_batch, tiny_spec
from umadapt.config import Adapt
from umadapt.data.batch import Batch, each
from umadapt.methods import base_model, um_adapt
from umadapt.methods.method import Given
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss

TOLERANCE = 1e-4  # relative to the largest gradient of a tensor
CONFIG = Adapt(run=Path("run"), target=("photos",), out=Path("out"), method="adv", forward="fresh")


@pytest.fixture
def model() -> UMAdapt:
    """Random weights, and statistics as after training."""
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec())
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias, std=0.1)
            assert m.running_mean is not None
            assert m.running_var is not None
            m.running_mean.normal_(std=0.1)
            m.running_var.uniform_(0.5, 1.5)
    return model


def double(batch: Batch) -> Batch:
    """In float64: a training BatchNorm over the few values of a tiny network multiplies rounding errors."""
    return each(batch, lambda x: x.double() if x.is_floating_point() else x)


def total(loss: Loss) -> Tensor:
    return torch.stack(list(loss.terms.values())).sum()


def same_gradients(ours: Tensor, weights: list[nn.Parameter], theirs: Tensor, others: list[nn.Parameter]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=1e-6)
    a = torch.autograd.grad(ours, weights)
    b = torch.autograd.grad(theirs, others)
    assert all(float(y.abs().max()) > 0 for y in b)
    for x, y in zip(a, b, strict=True):
        assert float((x - y).abs().max()) <= TOLERANCE * max(1e-3, float(y.abs().max()))


@pytest.mark.parametrize("task", ["depth", "normals", "seg"])
def test_base_step(model: UMAdapt, task: str) -> None:
    batch = double(random_batch(model))
    stage = base_model.stage(model.double(), lambda k: batch, 1, 1e-4, 10.0, "per-task")
    model.train()
    literal = LiteralModel(model).train()
    literal.transfers.eval()
    turn = {turn.name: turn for turn in stage.turns}[task]
    same_gradients(
        total(turn.loss(batch)),
        list(model.encoder.parameters()),
        base_loss(literal, batch, task, 10.0),
        list(literal.encoders["source"].parameters()),
    )


@pytest.mark.parametrize("task", ["depth", "seg"])
@pytest.mark.parametrize("method", ["noadv", "adv"])
def test_target_step(model: UMAdapt, task: str, method: str) -> None:
    model.encoder.add_target()
    literal = LiteralModel(model).eval()
    config = dataclasses.replace(CONFIG, method=method)
    stage = um_adapt.stage(model, config, lambda k: random_batch(model), Given(dict.fromkeys(model.graph, 1.0)))
    model.train()
    batch = random_batch(model)
    turn = {turn.name: turn for turn in stage.turns}[task]
    torch.manual_seed(1)
    ours = total(turn.loss(stage.prepare(batch)))
    torch.manual_seed(1)
    theirs = generator_loss(literal, batch, task, config.ccr)
    same_gradients(ours, turn.parameters, theirs, list(literal.res5["target"].parameters()))


@pytest.mark.parametrize("task", ["depth", "seg"])
@pytest.mark.parametrize("real_tuples", ["truth", "pred"])
def test_critic_step(model: UMAdapt, task: str, real_tuples: str) -> None:
    model.encoder.add_target()
    literal = LiteralModel(model).eval()
    config = dataclasses.replace(CONFIG, real_tuples=real_tuples, gradient_mask="off")
    stage = um_adapt.stage(model, config, lambda k: random_batch(model), Given(dict.fromkeys(model.graph, 5.0)))
    model.train()
    batch = dataclasses.replace(random_batch(model), source=random_batch(model, seed=1))
    turn = {turn.name: turn for turn in stage.turns}[f"critic-{task}"]
    torch.manual_seed(1)
    ours = total(turn.loss(stage.prepare(batch)))
    torch.manual_seed(1)
    theirs = critic_loss(literal, batch, task, config.margin * 5.0, config.real_tuples)
    same_gradients(ours, turn.parameters, theirs, list(literal.transfers[task].parameters()))


def test_predictions(model: UMAdapt) -> None:
    literal = LiteralModel(model.double()).eval()
    images = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    with torch.inference_mode():
        ours, theirs = model.eval()(images), literal(images, "source")[0]
    for task in ours:
        torch.testing.assert_close(ours[task], theirs[task], rtol=1e-4, atol=1e-5)
