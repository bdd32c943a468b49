from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from toys import random_batch
from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.methods import adabn, base_model, contour, transfer_nets, um_adapt
from umadapt.methods.method import Given
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Prepared, Turn
from umadapt.training.trainer import take


def configure(**changes: object) -> Adapt:
    options = {"forward": "fresh", "lr": 1e-5, **changes}
    return Adapt(run=Path("r"), target=("t",), out=Path("o"), **options)  # type: ignore[arg-type]


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def step(turns: list[Turn[Any]], batch: Batch | Prepared) -> None:
    for turn in turns:
        take(turn, batch, torch.optim.Adam(turn.parameters, lr=1e-3), 10.0, True, "test")


def changed(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_transfer_stage_trains_the_transfer_nets_alone(tiny: UMAdapt) -> None:
    others = torch.nn.ModuleList([tiny.encoder, tiny.decoders, tiny.contour])
    before, nets = snapshot(others), snapshot(tiny.transfers)
    stage = transfer_nets.stage(tiny.train(), lambda _: random_batch(tiny), 1, 1e-3)
    assert [turn.name for turn in stage.turns] == ["seg", "depth"]
    step(stage.turns, random_batch(tiny))
    assert not changed(others, before)
    assert changed(tiny.transfers, nets)


def test_a_transfer_net_learns_a_map_that_determines_another(tiny: UMAdapt) -> None:
    """Depth 2 m where the label is 2 and 4 m elsewhere: N->depth must find that, N->seg too."""
    batch = random_batch(tiny, 8)
    truths = batch.truths
    truths["seg"] = (torch.rand(8, 1, 1) * 3).long().expand(8, *truths["seg"].shape[1:]).contiguous()
    truths["depth"] = torch.where(truths["seg"] == 2, 2.0, 4.0).unsqueeze(1)
    stage = transfer_nets.stage(tiny.train(), lambda _: random_batch(tiny), 1, 1e-2)
    before = transfer_nets.measure(tiny, [batch])
    tiny.train()
    optimisers = [torch.optim.Adam(turn.parameters, lr=1e-2) for turn in stage.turns]
    for _ in range(60):
        for turn, optimiser in zip(stage.turns, optimisers, strict=True):
            take(turn, batch, optimiser, 10.0, False, "test")
    after = transfer_nets.measure(tiny, [batch])
    assert after["depth"]["energy"] < 0.3 * before["depth"]["energy"]
    assert after["seg"]["pacc"] > 0.6


def test_algorithm_1_is_direct_plus_alpha_times_distillation(tiny: UMAdapt) -> None:
    batch = random_batch(tiny)
    tiny.eval()
    loss = base_model.losses(tiny, batch, "seg", alpha=10.0)
    maps = tiny(batch.images)
    task = tiny.tasks["seg"]
    torch.testing.assert_close(loss.terms["direct"], task.loss(maps["seg"], batch.truths["seg"]))
    torch.testing.assert_close(loss.terms["distil"], 10 * task.loss(tiny.cross(maps)["seg"], batch.truths["seg"]))
    assert set(base_model.losses(tiny, batch, "normals", alpha=10.0).terms) == {"direct"}, "no transfer net to normals"
    joint = base_model.joint_losses(tiny, batch, 10.0).terms
    for name in tiny.tasks:
        separate = sum(base_model.losses(tiny, batch, name, 10.0).terms.values())
        torch.testing.assert_close(joint[name], torch.as_tensor(separate).log())


def test_in_the_joint_form_the_size_of_a_tasks_loss_does_not_count(
    tiny: UMAdapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = random_batch(tiny)
    tiny.eval()
    parameters = list(tiny.encoder.parameters())

    def gradient() -> torch.Tensor:
        loss = torch.stack(list(base_model.joint_losses(tiny, batch, 1.0).terms.values())).sum()
        return torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, parameters, allow_unused=True) if g is not None]
        )

    plain, seg = gradient(), tiny.tasks["seg"].loss
    monkeypatch.setattr(tiny.tasks["seg"], "loss", lambda *maps: 1000 * seg(*maps))
    torch.testing.assert_close(gradient(), plain, rtol=1e-4, atol=1e-6)


def test_in_the_joint_form_a_batch_without_labels_of_a_task_teaches_the_others(tiny: UMAdapt) -> None:
    batch = random_batch(tiny)
    batch.truths["depth"].zero_()
    terms = base_model.joint_losses(tiny.eval(), batch, 0.0).terms
    assert all(torch.isfinite(term) for term in terms.values())
    head = list(tiny.decoders["depth"].parameters())
    grads = torch.autograd.grad(torch.stack(list(terms.values())).sum(), head, allow_unused=True)
    assert all(grad is None or not grad.any() for grad in grads)
    assert any(p.any() for p in torch.autograd.grad(terms["seg"], list(tiny.decoders["seg"].parameters())))


def test_a_batch_without_labels_of_a_task_takes_no_step_of_it(tiny: UMAdapt) -> None:
    batch = random_batch(tiny)
    batch.truths["depth"].zero_()
    turns = base_model.stage(tiny.train(), lambda _: random_batch(tiny), 1, 1e-3, 10.0, "per-task").turns
    assert [turn.name for turn in turns if not turn.loss(batch).terms] == ["depth"]


@pytest.mark.parametrize("optimiser", ["per-task", "joint"])
def test_base_stage_leaves_transfer_nets_alone(tiny: UMAdapt, optimiser: str) -> None:
    before = snapshot(tiny.transfers)
    encoder = snapshot(tiny.encoder)
    stage = base_model.stage(tiny.train(), lambda _: random_batch(tiny), 1, 1e-3, 10.0, optimiser)
    assert len(stage.turns) == (3 if optimiser == "per-task" else 1)
    step(stage.turns, random_batch(tiny))
    assert not changed(tiny.transfers, before)
    assert changed(tiny.encoder, encoder)


def test_contour_stage_trains_the_contour_decoder_alone(tiny: UMAdapt) -> None:
    others = torch.nn.ModuleList([tiny.encoder, tiny.decoders, tiny.transfers])
    before, decoder = snapshot(others), snapshot(tiny.contour)
    stage = contour.stage(tiny.train(), lambda _: random_batch(tiny), 1, 1e-3)
    step(stage.turns, stage.prepare(random_batch(tiny)))
    assert not changed(others, before)
    assert changed(tiny.contour, decoder)


@pytest.mark.parametrize("method", ["noadv", "noadv-1", "adv"])
def test_algorithm_2_trains_the_targets_res5_alone(tiny: UMAdapt, method: str) -> None:
    tiny.encoder.add_target()
    config = configure(method=method, critic_every=1)
    margins = {"seg": 2.0, "depth": 0.5}
    stage = um_adapt.stage(
        tiny,
        config,
        lambda _: dataclasses.replace(random_batch(tiny), source=random_batch(tiny, seed=1)),
        Given(margins),
    )
    expected = {"noadv": ["seg", "depth"], "noadv-1": ["seg"], "adv": ["seg", "depth", "critic-seg", "critic-depth"]}
    assert [turn.name for turn in stage.turns] == expected[method]
    tiny.train()
    before, branch = snapshot(tiny), snapshot(tiny.encoder.branches["target"])
    critics = snapshot(stage.extra["critics"]) if method == "adv" else {}
    step(stage.turns, stage.prepare(stage.batch(0)))
    moved = {k for k, v in tiny.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(k.startswith("encoder.branches.target.") for k in moved)
    assert not any("running" in k for k in moved), "BatchNorm statistics stay frozen"
    assert changed(tiny.encoder.branches["target"], branch)
    if method == "adv":
        assert changed(stage.extra["critics"], critics)
        after = stage.extra["critics"].state_dict()
        assert not any("running" in k for k in critics if not torch.equal(critics[k], after[k]))


def test_critic_hinge_stops_at_the_margin_and_the_literal_form_does_not(tiny: UMAdapt) -> None:
    tiny.encoder.add_target()
    tiny.freeze(tiny)
    fakes, source = tiny(random_batch(tiny).images, "target"), random_batch(tiny, seed=1)
    args = (tiny, fakes, source, "depth")
    low = um_adapt.critic_losses(*args, configure(), tiny.transfers, margin=0.0)
    assert low.terms["fake"].item() == 0
    high = um_adapt.critic_losses(*args, configure(), tiny.transfers, margin=9.0)
    assert high.terms["fake"].item() == pytest.approx(9 - high.watch["fake_energy"].item())
    literal = um_adapt.critic_losses(*args, configure(energy="literal"), tiny.transfers, margin=9.0)
    assert literal.terms["fake"].item() == pytest.approx(-literal.watch["fake_energy"].item())
    predicted = um_adapt.critic_losses(*args, configure(real_tuples="pred"), tiny.transfers, margin=9.0)
    assert predicted.terms["real"].item() != pytest.approx(high.terms["real"].item())


def test_the_hinge_measures_the_fakes_as_the_reals_without_the_entropy_of_the_prediction(
    tiny: UMAdapt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fakes that agree are far below the margin, however unsure the prediction is, so the critic pushes them away."""
    tiny.encoder.add_target()
    tiny.freeze(tiny)
    fakes, source = tiny(random_batch(tiny).images, "target"), random_batch(tiny, seed=1)
    agreed = fakes["seg"]
    assert tiny.tasks["seg"].energy(agreed, agreed).item() > 0.5, "nats of entropy"
    monkeypatch.setattr(tiny, "transfer", lambda *_: agreed)
    loss = um_adapt.critic_losses(tiny, fakes, source, "seg", configure(), tiny.transfers, margin=0.5)
    assert loss.watch["fake_energy"].item() == pytest.approx(0, abs=1e-5)
    assert loss.terms["fake"].item() == pytest.approx(0.5, abs=1e-5)


def test_generator_gradient_passes_prediction_and_transfer_net(tiny: UMAdapt) -> None:
    """The gradient through N alone and through the prediction alone both differ from the whole."""
    tiny.encoder.add_target()
    stage = um_adapt.stage(tiny, configure(ccr=0.0, gradient_mask="off"), lambda _: random_batch(tiny))
    batch = stage.prepare(stage.batch(0))
    parameters = stage.turns[0].parameters
    grads = torch.autograd.grad(stage.turns[0].loss(batch).terms["energy"], parameters, allow_unused=True)

    features = tiny.encoder.branches["target"](batch.batch.trunk)
    maps = tiny.decode(features)
    cross = tiny.cross(maps)["seg"]
    detached = tiny.tasks["seg"].energy(cross.detach(), maps["seg"])
    partial = torch.autograd.grad(detached, parameters, allow_unused=True)
    pairs = [(a, b) for a, b in zip(grads, partial, strict=True) if a is not None and b is not None]
    assert any(not torch.allclose(a, b) for a, b in pairs)


@pytest.mark.parametrize("which", ["source", "res5", "encoder"])
def test_adabn_replaces_the_statistics_it_is_told_to(tiny: UMAdapt, which: str) -> None:
    tiny.encoder.add_target()
    tiny.freeze(tiny)
    before = snapshot(tiny)
    adabn.reestimate(tiny, [torch.rand(4, 3, 64, 96) * 0.2 for _ in range(3)], which)
    moved = {k for k, v in tiny.state_dict().items() if not torch.equal(v, before[k])}
    roots = {".".join(k.split(".")[:3]) for k in moved}
    expected = {"source": set(), "res5": {"encoder.branches.target"}}
    expected["encoder"] = {"encoder.branches.target", "encoder.trunks.target"}
    assert roots == expected[which]
    assert not any(m.training for m in tiny.modules()), "all parts are in eval mode again"


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_photos_statistics(tiny: UMAdapt, share: float) -> None:
    tiny.encoder.add_target()
    tiny.freeze(tiny)
    images = [torch.rand(4, 3, 64, 96) * 0.2 for _ in range(3)]
    norm = next(m for m in tiny.encoder.trunks["target"].modules() if isinstance(m, adabn.BatchNorm))
    assert norm.running_var is not None
    before = norm.running_var.clone()
    adabn.reestimate(tiny, images, "encoder", share)
    mixed = norm.running_var.clone()
    norm.running_var.copy_(before)
    adabn.reestimate(tiny, images, "encoder")
    torch.testing.assert_close(mixed, share * norm.running_var + (1 - share) * before)


def test_adabn_statistics_are_the_mean_over_the_photos(tiny: UMAdapt) -> None:
    """The first BatchNorm sees the photos through one convolution: its mean can be computed by hand."""
    tiny.encoder.add_target()
    tiny.freeze(tiny)
    images = [torch.rand(4, 3, 64, 96) for _ in range(3)]
    convolution, norm = None, None
    for m in tiny.encoder.trunks["target"].modules():
        if isinstance(m, torch.nn.Conv2d) and convolution is None:
            convolution = m
        if isinstance(m, adabn.BatchNorm):
            norm = m
            break
    assert convolution is not None
    assert norm is not None
    adabn.reestimate(tiny, images, "encoder")
    with torch.no_grad():
        outputs = convolution(tiny.normalise(torch.cat(images)))
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)


def prepared(tiny: UMAdapt, config: Adapt) -> tuple[list[Turn[um_adapt.Step]], um_adapt.Step]:
    """Turns of `noadv` and a batch that they can take."""
    stage = um_adapt.stage(tiny, config, lambda _: random_batch(tiny), Given({"seg": 1e3, "depth": 1e3}))
    return stage.turns, stage.prepare(stage.batch(0))


def test_the_average_of_a_base_is_what_the_last_step_leaves(tiny: UMAdapt) -> None:
    stage = base_model.stage(tiny, lambda _: random_batch(tiny), 3, 1e-3, 0.0, "joint", ema=0.9)
    first = stage.turns[0].parameters[0]
    seen = [first.detach().clone()]
    for k in range(3):
        with torch.no_grad():
            first += k + 1.0
        seen.append(first.detach().clone())
        stage.after(k)
    torch.testing.assert_close(first.detach(), torch.stack(seen).mean(0))  # the plain mean of the first steps
