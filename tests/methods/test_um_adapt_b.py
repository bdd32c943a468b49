"""UM-Adapt-B: who is trained, and what the critic's loss is made of."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from methods.test_stages import changed, configure, snapshot
from toys import random_batch
from umadapt.methods import um_adapt_b
from umadapt.methods.cross_task import add_trunk_features
from umadapt.nets.joint_critic import LATENT
from umadapt.nets.model import UMAdapt
from umadapt.training.trainer import take


@pytest.mark.parametrize("method", ["b-ccr", "b-fcf"])
def test_res5_and_the_critic_are_trained_alone(tiny: UMAdapt, method: str) -> None:
    tiny.encoder.add_target()
    config, source = configure(method=method, steps=2, joint_steps=3), random_batch(tiny, seed=1)
    stage = um_adapt_b.stage(tiny, config, lambda _: dataclasses.replace(random_batch(tiny), source=source))
    assert stage.steps == 6, "five critic steps to a target step by default, three here"
    assert [turn.every for turn in stage.turns] == ([1, 1, 3] if method == "b-fcf" else [1, 3])
    assert set(stage.extra) == ({"critic", "features"} if method == "b-fcf" else {"critic"})
    tiny.train()
    before, branch = snapshot(tiny), snapshot(tiny.encoder.branches["target"])
    extras = {name: snapshot(module) for name, module in stage.extra.items()}
    batch = stage.prepare(stage.batch(0))
    *others, joint = stage.turns
    critic = others[-1]
    for turn in others[:-1]:
        take(turn, batch, torch.optim.Adam(turn.parameters, lr=1e-3), 10.0, True, "test")
    logged = take(critic, batch, torch.optim.Adam(critic.parameters, lr=1e-3), 10.0, True, "test")
    assert {"critic/gap", "critic/penalty", "critic/score_gap"} <= set(logged)
    assert not changed(tiny, before), "the critic's turn moves nothing of the model"
    logged = take(joint, batch, torch.optim.Adam(joint.parameters, lr=1e-3), 10.0, True, "test")
    assert {"joint/critic", "joint/fcf" if method == "b-fcf" else "joint/ccr"} <= set(logged)
    assert changed(tiny.encoder.branches["target"], branch)
    assert all(changed(module, extras[name]) for name, module in stage.extra.items())
    moved = {k for k, v in tiny.state_dict().items() if not torch.equal(v, before[k])}
    assert all(k.startswith("encoder.branches.target") for k in moved)


def test_real_tuples_are_source_features_and_ground_truth(tiny: UMAdapt) -> None:
    batch = random_batch(tiny)
    tiny.eval()
    reals = um_adapt_b.real_tuples(tiny, batch)
    assert set(reals) == {LATENT, "depth", "normals", "seg"}
    torch.testing.assert_close(reals[LATENT], tiny.encode(batch.images, "source")["res5"])
    torch.testing.assert_close(reals["depth"], batch.truths["depth"] / 10)
    known = batch.truths["seg"] != 255
    assert (reals["seg"].argmax(1)[known] == batch.truths["seg"][known]).all()
    assert not reals["seg"].sum(1)[~known].any()


def test_the_critics_loss_is_that_of_wgan_gp(tiny: UMAdapt) -> None:
    """A linear critic of slope a: E[D(fake)] - E[D(real)] + gp (|a| - 1)^2, whatever the tuples are."""
    tiny.encoder.add_target()
    tiny.eval()
    config = configure(method="b-ccr", gp=7.0, gradient_mask="off")
    batch, source = add_trunk_features(tiny, random_batch(tiny)), random_batch(tiny, seed=1)
    with torch.no_grad():
        latent, prediction = tiny.encode(batch.images, "target")["res5"], tiny(batch.images, "target")["depth"]
        reals = um_adapt_b.real_tuples(tiny, source)
    slopes = {LATENT: 0.3, "depth": -2.0, "normals": 0.0, "seg": 0.0}

    def critic(tuples: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([a * tuples[name].flatten(1).sum(1) for name, a in slopes.items()]).sum(0).view(-1, 1, 1, 1)

    found = um_adapt_b.critic_losses(tiny, dataclasses.replace(batch, source=source), config, critic)  # type: ignore[arg-type]
    fake = 0.3 * latent.sum() - 2 * prediction.sum()
    real = 0.3 * reals[LATENT].sum() - 2 * reals["depth"].sum()
    steepness = (0.3**2 * latent[0].numel() + 2**2 * prediction[0].numel()) ** 0.5
    count = len(batch)
    assert found.terms["gap"].item() == pytest.approx((fake - real).item() / count, rel=1e-4)
    assert found.terms["penalty"].item() == pytest.approx(7 * (steepness - 1) ** 2, rel=1e-4)
    assert found.watch["score_gap"].item() == pytest.approx((real - fake).item() / count, rel=1e-4)


def test_feature_loss_is_one_for_a_decoder_that_knows_nothing(tiny: UMAdapt) -> None:
    """In units of the features' mean square, zeros have a loss of 1 and the features themselves of 0."""
    res4 = 7 * torch.randn(2, 5, 4, 6)
    features = {"res4": res4, "res5": res4}
    silent = lambda x, size: torch.zeros_like(res4)  # noqa: E731
    perfect = lambda x, size: res4  # noqa: E731
    assert um_adapt_b.reconstruction(silent, features).item() == pytest.approx(1)  # type: ignore[arg-type]
    assert um_adapt_b.reconstruction(perfect, features).item() == 0  # type: ignore[arg-type]
