"""Saving memory changes no gradient: every network and stage, in parts and in blocks, against the plain pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from toys import random_batch, tiny_spec
from umadapt.config import Adapt, Semi
from umadapt.data.batch import Batch
from umadapt.methods import base_model, minent, transfer_nets, um_adapt, um_adapt_s
from umadapt.methods.method import Given
from umadapt.nets.activation_checkpointing import BatchNorm, Economy, economise
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage
from umadapt.training.trainer import take

EXACT = [Economy(micro=2), Economy(micro=1, blocks=True)]


@pytest.fixture(params=["fcrn", "skip"])
def model(request: pytest.FixtureRequest) -> Iterator[UMAdapt]:
    """In double precision, as all that is made while it lives."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec(decoder=request.param, width=0.03 if request.param == "fcrn" else 0.2))
    model.encoder.add_target()
    for module in model.modules():  # statistics that are not those of a fresh network
        if isinstance(module, BatchNorm):
            module.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    yield model
    torch.set_default_dtype(torch.float32)


def drawn(model: UMAdapt, seed: int = 0) -> Callable[[int], Batch]:
    """Batches for two steps, made now: to make one runs the model in eval mode."""
    return [random_batch(model, 3, seed + step) for step in range(2)].__getitem__


def two_steps(model: UMAdapt, stage: Stage, economy: Economy) -> dict[str, torch.Tensor]:
    """The weights after two steps, the first with gradients term by term; the same random numbers every time."""
    economise(economy, model, *stage.extra.values())
    model.train()
    optimisers = [torch.optim.SGD(turn.parameters, lr=0.05, momentum=0.9) for turn in stage.turns]
    for step in range(2):
        torch.manual_seed(step)
        batch = stage.prepare(stage.batch(step))
        for turn, optimiser in zip(stage.turns, optimisers, strict=True):
            take(turn, batch, optimiser, 1e9, step == 0, "test")  # type: ignore[arg-type]
    modules = nn.ModuleList([model, *stage.extra.values()])
    return {name: tensor.clone() for name, tensor in modules.state_dict().items()}


def make_adapt(model: UMAdapt, method: str, **changes: Any) -> Stage:
    config = Adapt(run=Path("r"), target=("t",), out=Path("o"), method=method, **changes)  # type: ignore[arg-type]
    photos, source = drawn(model), drawn(model, 9)

    def batches(step: int) -> Batch:
        return dataclasses.replace(photos(step), source=source(step))

    if method == "minent":
        return minent.stage(model, config, batches)
    return um_adapt.stage(model, config, batches, Given({"seg": 2.0, "depth": 0.5}))


def make_semi(model: UMAdapt) -> Stage:
    config = Semi(run=Path("r"), target=("t",), labelled=("l",), out=Path("o"), alpha=1.0, train_decoders=True)
    return um_adapt_s.stage(model, config, drawn(model), drawn(model, 9))


FROZEN = {
    "noadv": lambda model: make_adapt(model, "noadv"),
    "adv": lambda model: make_adapt(model, "adv", critic_every=1),
    "minent": lambda model: make_adapt(model, "minent"),
    "semi": make_semi,
}
TRAINED = {
    "adapt with moving statistics": lambda model: make_adapt(model, "noadv", bn="train"),
    "transfer": lambda model: transfer_nets.stage(model, drawn(model), 2, 0.1),
    "base": lambda model: base_model.stage(model, drawn(model), 2, 0.1, 10.0, "per-task"),
    "joint": lambda model: base_model.stage(model, drawn(model), 2, 0.1, 10.0, "joint"),
}


def assert_equal_to(plain: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    for name, tensor in plain.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", FROZEN)
def test_parts_of_a_batch_give_the_step_of_the_whole(model: UMAdapt, name: str) -> None:
    """Also for losses that are no mean over samples: BerHu's maximum, class weights, hinge."""
    start = {k: v.clone() for k, v in model.state_dict().items()}
    plain = two_steps(model, FROZEN[name](model), Economy())
    assert any(not torch.equal(v, plain["0." + k]) for k, v in start.items()), "something was learnt"
    for economy in EXACT:
        model.load_state_dict(start)
        assert_equal_to(plain, two_steps(model, FROZEN[name](model), economy))


@pytest.mark.parametrize("name", TRAINED)
def test_blocks_are_exact_where_batchnorm_trains(model: UMAdapt, name: str) -> None:
    """Weights, running statistics and the count of batches that they have seen."""
    start = {k: v.clone() for k, v in model.state_dict().items()}
    plain = two_steps(model, TRAINED[name](model), Economy())
    counts = {k for k, v in start.items() if k.endswith("num_batches_tracked") and not torch.equal(v, plain["0." + k])}
    assert counts, "BatchNorm trains here"
    model.load_state_dict(start)
    assert_equal_to(plain, two_steps(model, TRAINED[name](model), Economy(blocks=True)))


def test_batchnorm_that_trains_sees_the_part(model: UMAdapt) -> None:
    """What docs/memory.md says of --micro-batch in training: a forward a part, each with its own statistics."""
    model.train()
    model.unfreeze(model)
    images = random_batch(model, 4).images
    with torch.no_grad():
        apart = torch.cat([model.encode(part)["res5"] for part in images.split(2)])
    norms = [m for m in model.encoder.trunks["source"].modules() if isinstance(m, BatchNorm)]
    before = int(norms[0].num_batches_tracked)  # type: ignore[arg-type]
    economise(Economy(micro=2), model)
    features = model.encode(images)["res5"]
    features.sum().backward()
    torch.testing.assert_close(features.detach(), apart)
    assert {int(m.num_batches_tracked) for m in norms} == {before + 2}, "the second pass is not counted"  # type: ignore[arg-type]


@pytest.mark.parametrize("backbone", ["test_resnet", "mobilenetv2_050"])
def test_fewer_bytes_are_kept_for_the_backward_pass(backbone: str) -> None:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec(backbone=backbone, width=0.1, transfer_width=0.1)).train()
    images = random_batch(model, 4).images

    def kept(economy: Economy) -> int:
        storages = {}

        def pack(x: torch.Tensor) -> torch.Tensor:
            if not isinstance(x, nn.Parameter):
                storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        economise(economy, model)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            maps = model(images)
            model.cross(maps)
        return sum(storages.values())

    whole, blocks = kept(Economy()), kept(Economy(blocks=True))
    assert blocks < 0.6 * whole
