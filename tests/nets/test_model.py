from __future__ import annotations

import pytest
import torch
from torch import nn

from toys import random_batch, tiny_spec
from umadapt.nets.decoder import DECODERS
from umadapt.nets.model import UMAdapt


def test_maps_have_the_grid_and_physical_meaning(tiny: UMAdapt) -> None:
    images = random_batch(tiny).images
    maps = tiny.eval()(images)
    h, w = tiny.grid(tiny.spec.size)
    assert maps["depth"].shape == (4, 1, h, w)
    assert (maps["depth"] > 0).all()
    assert maps["seg"].shape == (4, 4, h, w)
    torch.testing.assert_close(maps["normals"].norm(dim=1), torch.ones(4, h, w))
    assert set(tiny.cross(maps)) == {"seg", "depth"}


@pytest.mark.parametrize("decoder", DECODERS)
def test_gradient_reaches_every_parameter(decoder: str) -> None:
    model = UMAdapt(tiny_spec(decoder=decoder))
    batch = random_batch(model)
    maps = model.train()(batch.images)
    cross = model.cross(maps)
    total = sum(m.square().mean() for m in [*maps.values(), *cross.values()])
    total = total + model.contour(model.encode(batch.images)["res5"]).square().mean()
    assert isinstance(total, torch.Tensor)
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("decoder", DECODERS)
def test_dropout_acts_in_training_alone_and_keeps_the_mean(decoder: str) -> None:
    torch.manual_seed(0)
    width = 0.03 if decoder == "fcrn" else 0.2
    model = UMAdapt(tiny_spec(decoder=decoder, width=width, graph={}, dropout=0.5))
    images = torch.rand(2, 3, 64, 96)
    model.eval()
    whole = model(images)["depth"]
    assert torch.equal(model(images)["depth"], whole)
    for module in model.modules():
        module.train(isinstance(module, nn.Dropout))
    dropped = torch.stack([model(images)["depth"] for _ in range(60)])
    assert dropped.std(0).mean() > 0
    assert (dropped.mean(0) - whole).abs().mean() < 0.3 * dropped.std(0).mean()


@pytest.mark.parametrize("size", [(64, 96), (72, 104), (57, 61)])
def test_decoders_with_skips_give_half_the_size(size: tuple[int, int]) -> None:
    """Also where the sides are no multiples of 32, or odd; the transfer nets too."""
    model = UMAdapt(tiny_spec(decoder="skip", size=size)).eval()
    grid = tuple(2 * -(-side // 4) for side in size)
    assert model.grid(size) == grid
    maps = model(torch.rand(2, 3, *size))
    assert {map_.shape[-2:] for map_ in [*maps.values(), *model.cross(maps).values()]} == {grid}


def test_decoders_with_skips_see_fine_detail() -> None:
    """A change of one pixel moves the map most where it is; FCRN's cells of 32 pixels cannot tell."""
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec(decoder="skip", width=1.0, graph={})).eval()
    image = torch.rand(1, 3, 64, 96)
    other = image.clone()
    other[..., 22:24, 50:52] = 1 - other[..., 22:24, 50:52].round()
    moved = (model(other)["seg"] - model(image)["seg"]).abs().sum(1)[0]
    row, column = divmod(int(moved.argmax()), moved.shape[1])
    assert abs(2 * row - 22) <= 8
    assert abs(2 * column - 50) <= 8


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
    images = random_batch(tiny).images
    tiny.eval()
    together, alone = tiny(images)["depth"][:1], tiny(images[:1])["depth"]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_any_graph_runs() -> None:
    torch.manual_seed(0)
    model = UMAdapt(tiny_spec(tasks=("depth", "seg"), graph={"seg": ("depth",), "depth": ("seg",)}))
    maps = model.eval()(torch.rand(1, 3, 64, 96))
    assert set(maps) == {"depth", "seg"}
    assert isinstance(model.transfers["seg"], nn.Module)
