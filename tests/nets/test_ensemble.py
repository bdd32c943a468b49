"""The consensus of several witnesses."""

from __future__ import annotations

import pytest
import torch

from toys import random_batch
from umadapt.nets.ensemble import UNKNOWN, consensus, shares_of, weigh
from umadapt.nets.model import UMAdapt


@pytest.fixture
def adapted(tiny: UMAdapt) -> UMAdapt:
    tiny.encoder.add_target()
    return tiny.eval()


def vote(model: UMAdapt, images: torch.Tensor, *witnesses: str) -> dict[str, torch.Tensor]:
    return consensus(model, lambda x: model.encode(x, "target"), images, shares_of(None, model.tasks, witnesses))


def test_alone_it_is_the_prediction(adapted: UMAdapt) -> None:
    picture = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(vote(adapted, picture), adapted(picture, "target"))


@pytest.mark.parametrize("witnesses", [("mirror",), ("mirror", "zoom")])
def test_with_mirror_images_it_knows_no_left_and_right(adapted: UMAdapt, witnesses: tuple[str, ...]) -> None:
    """A picture and its mirror image get mirrored maps, whatever the network makes of each."""
    picture = torch.rand(2, 3, 64, 96)
    maps, mirrored = vote(adapted, picture, *witnesses), vote(adapted, picture.flip(-1), *witnesses)
    for name, task in adapted.tasks.items():
        torch.testing.assert_close(mirrored[name], task.mirror(maps[name]), atol=1e-5, rtol=1e-4)


def test_transfer_nets_vote_on_what_the_others_agree_on(adapted: UMAdapt) -> None:
    picture = torch.rand(2, 3, 64, 96)
    seen, all_ = vote(adapted, picture, "mirror"), vote(adapted, picture, "mirror", "transfer")
    with torch.no_grad():
        cross = adapted.cross(seen)
    torch.testing.assert_close(all_["normals"], seen["normals"])  # no transfer net writes them
    share = UNKNOWN["transfer"]
    mixed = (1 - share) * seen["depth"] + share * cross["depth"]
    torch.testing.assert_close(all_["depth"], mixed)
    odds = (1 - share) * seen["seg"].log_softmax(1) + share * cross["seg"].log_softmax(1)
    torch.testing.assert_close(all_["seg"].softmax(1), odds.softmax(1))


@pytest.mark.parametrize("name", ["depth", "normals", "seg"])
def test_a_larger_copy_says_what_the_picture_says(adapted: UMAdapt, name: str) -> None:
    """Truth of a picture zoomed as `scale_crop` does, taken back by `shrink`, is the truth of the picture."""
    from umadapt.data.augment import scale_crop

    s = 1.25
    depth, normals = 2.0, torch.nn.functional.normalize(torch.tensor([0.3, -0.5, 0.7]), dim=0)
    flat = {
        "depth": torch.full((1, 40, 50), depth),
        "normals": normals.view(3, 1, 1).expand(3, 40, 50),
        "seg": torch.ones(40, 50, dtype=torch.long),
    }
    zoomed = scale_crop(flat, s, 0, 0, (40, 50))
    task = adapted.tasks[name]
    if name == "seg":
        logits = torch.randn(2, 3, 4, 4)
        assert task.shrink(logits, s) is logits
    else:
        torch.testing.assert_close(task.shrink(zoomed[name][None], s)[0], flat[name].contiguous())


def test_a_witness_gets_the_share_that_it_is_worth(adapted: UMAdapt, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that knows the truth gets all it can, one that knows nothing gets nothing."""
    batch = random_batch(adapted)
    depth = (batch.truths["depth"] / adapted.spec.depth_scale_m).clamp(min=0.01)
    noise = 50 * torch.randn(4, len(adapted.spec.classes), *adapted.grid(adapted.spec.size))
    monkeypatch.setattr(adapted, "cross", lambda maps: {"depth": depth, "seg": noise})
    shares = weigh(adapted, lambda k: batch, 2)
    assert shares["transfer"] == {"depth": 0.6, "seg": 0.0}
    assert set(shares["zoom"]) == set(adapted.tasks)


def test_shares_of_a_run_or_where_they_are_not_known(adapted: UMAdapt) -> None:
    known = {"zoom": {"depth": 0.1}}
    assert shares_of(known, ("depth",), ("zoom", "mirror")) == {"zoom": {"depth": 0.1}, "mirror": {"depth": 0.5}}
    assert shares_of(known, ("depth",), ()) == {}
