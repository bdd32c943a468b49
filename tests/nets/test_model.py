from __future__ import annotations

import pytest
import torch
from torch import nn

from toys import random_batch, tiny_spec
from umadapt.nets.model import UMAdapt


def test_maps_have_the_grid_and_physical_meaning(tiny: UMAdapt) -> None:
    images = random_batch(tiny)["image"]
    maps = tiny.eval()(images)
    h, w = tiny.grid(tiny.spec.size)
    assert maps["depth"].shape == (4, 1, h, w)
    assert (maps["depth"] > 0).all()
    assert maps["seg"].shape == (4, 4, h, w)
    torch.testing.assert_close(maps["normals"].norm(dim=1), torch.ones(4, h, w))
    assert set(tiny.cross(maps)) == {"seg", "depth"}


def test_gradient_reaches_every_parameter(tiny: UMAdapt) -> None:
    batch = random_batch(tiny)
    maps = tiny.train()(batch["image"])
    cross = tiny.cross(maps)
    total = sum(m.square().mean() for m in [*maps.values(), *cross.values()])
    total = total + tiny.contour(tiny.encode(batch["image"])["res5"]).square().mean()
    assert isinstance(total, torch.Tensor)
    total.backward()
    for name, parameter in tiny.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_frozen_parts_stay_frozen_through_train(tiny: UMAdapt) -> None:
    tiny.freeze(tiny)
    tiny.unfreeze(tiny.contour)
    tiny.train()
    for m in tiny.encoder.modules():
        assert not m.training
    assert all(m.training for m in tiny.contour.modules())
    before = {k: v.clone() for k, v in tiny.encoder.state_dict().items()}
    tiny(torch.rand(2, 3, 64, 96))
    assert all(torch.equal(v, before[k]) for k, v in tiny.encoder.state_dict().items())
    assert not any(p.requires_grad for p in tiny.decoders.parameters())


@pytest.mark.parametrize(
    "graph", [{"seg": ("edges",)}, {"edges": ("seg",)}, {"seg": ("seg",)}, {"seg": ("depth", "depth")}]
)
def test_bad_graphs_are_refused(graph: dict) -> None:
    with pytest.raises(ValueError, match="transfer"):
        UMAdapt(tiny_spec(graph=graph))


def test_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown task"):
        UMAdapt(tiny_spec(tasks=("depth", "smell"), graph={}))


def test_batch_statistics_do_not_leak_between_images(tiny: UMAdapt) -> None:
    """In eval mode an image's prediction does not depend on its neighbours in the batch."""
    images = random_batch(tiny)["image"]
    tiny.eval()
    together, alone = tiny(images)["depth"][:1], tiny(images[:1])["depth"]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_any_graph_runs() -> None:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec(tasks=("depth", "seg"), graph={"seg": ("depth",), "depth": ("seg",)}))
    maps = model.eval()(torch.rand(1, 3, 64, 96))
    assert set(maps) == {"depth", "seg"}
    assert isinstance(model.transfers["seg"], nn.Module)
