"""The peers in the same box: each trains the target's Res-5 alone and does what its paper says."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from methods.test_stages import changed, configure, snapshot
from toys import random_batch
from umadapt.methods import adaptsegnet, mean_teacher, minent
from umadapt.methods.pseudo_labels import pseudo_label_map
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage
from umadapt.training.trainer import take

PEERS = {"minent": minent.stage, "output-adv": adaptsegnet.stage, "mean-teacher": mean_teacher.stage}


def make(tiny: UMAdapt, method: str, **changes: object) -> Stage:
    tiny.encoder.add_target()
    batch = dataclasses.replace(random_batch(tiny), source=random_batch(tiny, seed=1))
    stage = PEERS[method](tiny, configure(method=method, **changes), lambda _: batch)
    tiny.train()
    return stage


@pytest.mark.parametrize("method", PEERS)
def test_the_targets_res5_is_trained_alone(tiny: UMAdapt, method: str) -> None:
    stage = make(tiny, method, confidence=0.0)
    before, branch = snapshot(tiny), snapshot(tiny.encoder.branches["target"])
    batch = stage.prepare(stage.batch(0))
    for turn in stage.turns:
        logged = take(turn, batch, torch.optim.Adam(turn.parameters, lr=1e-3), 10.0, True, "test")
        assert all(math.isfinite(value) for value in logged.values())
    assert changed(tiny.encoder.branches["target"], branch)
    moved = {k for k, v in tiny.state_dict().items() if not torch.equal(v, before[k])}
    assert all(k.startswith("encoder.branches.target") for k in moved)


def test_minent_lowers_the_entropy_and_counts_it_from_0_to_1(tiny: UMAdapt) -> None:
    stage = make(tiny, "minent")
    batch = stage.prepare(stage.batch(0))
    (turn,) = stage.turns
    optimiser = torch.optim.Adam(turn.parameters, lr=1e-3)
    entropies = []
    for _ in range(12):
        entropies.append(turn.loss(batch).terms["entropy"].item())
        take(turn, batch, optimiser, 10.0, False, "test")
    assert 0 < entropies[-1] < entropies[0] <= 1


def test_output_critics_learn_to_tell_the_domains_apart(tiny: UMAdapt) -> None:
    stage = make(tiny, "output-adv")
    with torch.no_grad():  # two branches that differ
        for parameter in tiny.encoder.branches["target"].parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    batch = stage.prepare(stage.batch(0))
    assert set(batch.reals) == {"depth", "normals", "seg"}
    tell = stage.turns[1]
    optimiser = torch.optim.Adam(tell.parameters, lr=3e-3)
    before = tell.loss(batch)
    for _ in range(25):
        take(tell, batch, optimiser, 10.0, False, "test")
    after = tell.loss(batch)
    assert all(after.terms[task] < before.terms[task] for task in after.terms)
    assert all(after.watch[f"{task}_gap"] > before.watch[f"{task}_gap"] for task in after.terms)


def test_the_teacher_is_the_moving_average_and_is_kept(tiny: UMAdapt) -> None:
    stage = make(tiny, "mean-teacher", teacher_decay=0.75, steps=2)
    student = stage.turns[0].parameters[0]
    teacher = next(stage.extra["average"].parameters())
    start = student.detach().clone()
    with torch.no_grad():
        student += 1.0
    stage.after(0)
    torch.testing.assert_close(teacher, start + 0.5)  # the plain mean of two
    with torch.no_grad():
        student += 1.0
    stage.after(1)
    torch.testing.assert_close(teacher, start + (2 / 3) * 0.5 + (1 / 3) * 2)
    torch.testing.assert_close(student, teacher)
    stage.after(9)
    torch.testing.assert_close(teacher, student)


def test_pseudo_labels_count_by_confidence() -> None:
    student = torch.zeros(1, 4, 1, 2)
    teacher = torch.zeros(1, 4, 1, 2)
    teacher[0, 2, 0, 0] = 50.0  # certain; the other pixel is a uniform guess
    found = pseudo_label_map(student, teacher, confidence=0.5)
    assert found.flatten().tolist() == pytest.approx([math.log(4), 0])
