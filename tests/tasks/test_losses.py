"""Each loss against an independent reference in plain NumPy, and what must hold for any input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from umadapt import tasks
from umadapt.tasks import Depth, Edges, Normals, Seg
from umadapt.tasks.seg import class_weights, one_hot, pseudo_softmax

# a new task joins here, in `draw` and in `reference`
TASKS = {"depth": Depth(), "normals": Normals(), "seg": Seg(("a", "b", "c"), (1.0, 2.0, 0.5)), "edges": Edges()}


def draw(task: str, seed: int, missing: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """(prediction, truth) with a share of missing pixels."""
    g = torch.Generator().manual_seed(seed)
    hole = torch.rand(2, 5, 6, generator=g) < missing
    if task == "depth":
        truth = torch.rand(2, 1, 5, 6, generator=g) + 0.05
        return torch.rand(2, 1, 5, 6, generator=g), truth.masked_fill(hole.unsqueeze(1), 0)
    if task == "normals":
        prediction, truth = (F.normalize(torch.randn(2, 3, 5, 6, generator=g), dim=1) for _ in range(2))
        return prediction, truth.masked_fill(hole.unsqueeze(1), 0)
    if task == "edges":
        truth = (torch.rand(2, 1, 5, 6, generator=g) < 0.5).float()
        return torch.randn(2, 1, 5, 6, generator=g), truth.masked_fill(hole.unsqueeze(1), -1)
    labels = torch.randint(0, 3, (2, 5, 6), generator=g).masked_fill(hole, 255)
    return torch.randn(2, 3, 5, 6, generator=g), labels


def reference(task: str, prediction: np.ndarray, truth: np.ndarray) -> float:
    if task == "depth":
        residuals = np.abs(prediction - truth)[truth > 0]
        c = 0.2 * residuals.max()
        return float(np.mean([r if r <= c else (r * r + c * c) / (2 * c) for r in residuals]))
    if task == "edges":
        right = 1 / (1 + np.exp(np.where(truth == 1, -1, 1) * prediction.astype(np.float64)))
        return float(np.mean([-np.log(right[truth == value]).mean() for value in (0, 1) if (truth == value).any()]))
    total, weight = 0.0, 0.0
    for b in range(2):
        for i in range(5):
            for j in range(6):
                if task == "normals":
                    if np.any(truth[b, :, i, j] != 0):
                        total += 1 - float(prediction[b, :, i, j] @ truth[b, :, i, j])
                        weight += 1
                elif truth[b, i, j] != 255:
                    label = int(truth[b, i, j])
                    logits = prediction[b, :, i, j].astype(np.float64)
                    w = (1.0, 2.0, 0.5)[label]
                    total -= w * (logits[label] - math.log(np.exp(logits).sum()))
                    weight += w
    return total / weight


def test_no_task_is_left_out() -> None:
    assert TASKS.keys() == tasks.TASKS.keys()


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_loss_is_the_reference(task: str, seed: int) -> None:
    prediction, truth = draw(task, seed)
    ours = TASKS[task].loss(prediction, truth)
    assert float(ours) == pytest.approx(reference(task, prediction.numpy(), truth.numpy()), rel=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_empty_mask_gives_zero_and_zero_gradient(task: str) -> None:
    prediction, truth = draw(task, 0, missing=1.1)
    prediction.requires_grad_(True)
    loss = TASKS[task].loss(prediction, truth)
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-6, 1.0, 1e4]))
def test_losses_and_energies_stay_finite(task: str, seed: int, scale: float) -> None:
    prediction, truth = draw(task, seed)
    raw = (torch.randn_like(prediction) * scale).requires_grad_(True)
    active = TASKS[task].activate(raw)
    other = TASKS[task].activate(torch.randn_like(raw) * scale)
    total = TASKS[task].loss(active, truth) + TASKS[task].energy(active, other)
    total.backward()
    assert torch.isfinite(total)
    assert raw.grad is not None
    assert torch.isfinite(raw.grad).all()
    assert (TASKS[task].energy_map(active, other) >= 0).all()


def test_doubt_of_depth_is_a_share_of_it() -> None:
    task, direct = TASKS["depth"], torch.tensor([0.1, 0.5, 0.9]).view(1, 1, 1, 3)
    torch.testing.assert_close(task.energy_map(1.2 * direct, direct), torch.full((1, 1, 3), 0.2))
    assert torch.isfinite(task.energy_map(direct, torch.zeros_like(direct))).all()


@pytest.mark.parametrize("task", ["depth", "normals"])
def test_a_perfect_prediction_costs_nothing(task: str) -> None:
    _, truth = draw(task, 3, missing=0)
    assert TASKS[task].loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
    assert TASKS[task].energy(truth, truth).item() == pytest.approx(0, abs=1e-6)


def test_berhu_threshold_carries_no_gradient() -> None:
    prediction = torch.tensor([[[[0.5, 1.0]]]], requires_grad=True)
    truth = torch.tensor([[[[0.45, 3.0]]]])
    Depth().loss(prediction, truth).backward()
    c = 0.2 * 2.0
    assert prediction.grad is not None
    torch.testing.assert_close(prediction.grad.flatten(), torch.tensor([0.5, -2.0 / c / 2]))


def test_seg_energy_passes_gradients_both_ways() -> None:
    cross, direct = (torch.randn(1, 3, 2, 2, requires_grad=True) for _ in range(2))
    TASKS["seg"].energy(cross, direct).backward()
    assert cross.grad is not None
    assert direct.grad is not None
    assert cross.grad.abs().sum() > 0
    assert direct.grad.abs().sum() > 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), channels=st.integers(2, 40), std=st.sampled_from([0.01, 0.075, 0.3]))
def test_pseudo_softmax_is_a_distribution_with_the_same_argmax(seed: int, channels: int, std: float) -> None:
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, channels, (2, 6, 7), generator=g)
    labels[0, 0] = 255
    hot = one_hot(labels, channels, 255)
    soft = pseudo_softmax(hot, g, std)
    valid = labels != 255
    assert torch.equal(soft.argmax(1)[valid], labels[valid])
    torch.testing.assert_close(soft.sum(1), valid.float(), atol=1e-5, rtol=0)
    top = soft.amax(1)[valid]
    assert (top > 0.5).all()
    assert (top <= 1).all()
    assert (soft >= 0).all()
    assert (soft[:, :, :1][0] == 0).all(), "ignored pixels stay all-zero"


def test_pseudo_softmax_has_the_papers_spread() -> None:
    """N(1, 0.075) cut at 1 is a half-normal: its mean is 1 - 0.075 sqrt(2 / pi)."""
    hot = one_hot(torch.zeros(4, 200, 200, dtype=torch.long), 5, 255)
    top = pseudo_softmax(hot, torch.Generator().manual_seed(0)).amax(1)
    assert top.mean().item() == pytest.approx(1 - 0.075 * math.sqrt(2 / math.pi), abs=1e-3)


def test_half_of_a_batch_is_one_hot() -> None:
    seg = Seg(("a", "b", "c"))
    maps = seg.encode_truth(torch.randint(0, 3, (6, 8, 8)), torch.Generator().manual_seed(1))
    hard = [(m.amax(0) == 1).all().item() for m in maps]
    assert sum(hard) == 3
    truth = torch.randint(0, 3, (2, 8, 8))
    assert torch.equal(Seg(("a", "b", "c"), softened=1.0).encode_truth(truth, soften=False), one_hot(truth, 3, 255))


def test_class_weights() -> None:
    assert class_weights((0.5, 0.25, 0.25, 0.0), "none") == []
    assert class_weights((0.8, 0.15, 0.05, 0.0), "median") == pytest.approx([0.1875, 1, 3, 1])
    assert class_weights((0.9, 0.09, 0.001), "median")[2] == 10, "capped"
    roots = class_weights((0.8, 0.15, 0.05), "sqrt")
    assert roots == pytest.approx([0.1875**0.5, 1, 3**0.5])


def test_depth_head_and_cap() -> None:
    depth = Depth(scale_m=10)
    assert (depth.activate(torch.tensor([-50.0, 0.0])) >= 0).all()
    assert depth.prepare(torch.tensor([0.0, 5.0, 60.0])).tolist() == [0.0, 0.5, 1.0]
    assert depth.to_physical(torch.tensor(0.5)).item() == 5
    assert Depth(head="relu").activate(torch.tensor(-1.0)).item() == 0


def test_logarithmic_depth_loss_counts_near_and_far_alike() -> None:
    task = Depth(10.0, kind_of_loss="log")
    truth = torch.tensor([0.1, 0.8, 0.0]).view(1, 1, 1, 3)
    prediction = truth * 1.1
    assert float(task.loss(prediction, truth)) == pytest.approx(np.log(1.1), rel=1e-5)
    assert float(task.loss(torch.zeros(1, 1, 1, 3), truth)) == pytest.approx(np.log([10, 80]).mean(), rel=1e-5)
    assert float(task.energy(prediction + 0.1, prediction + 0.1)) == 0
