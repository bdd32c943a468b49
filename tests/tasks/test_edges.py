"""Occlusion edges: where they are, and loss, metrics and files against plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toys import write_toy_world
from umadapt.data.augment import Augment
from umadapt.data.files import write_share
from umadapt.data.folder import Folder
from umadapt.tasks.edges import BINS, Edges, EdgesMeter, occlusion_edges
from umadapt.training.batches import Batches


def plane(h: int, w: int, across: float, down: float) -> Tensor:
    """Depth (1, h, w) of a plane: inverse depth is affine in pixels."""
    y, x = torch.meshgrid(torch.linspace(-0.5, 0.5, h), torch.linspace(-0.5, 0.5, w), indexing="ij")
    return (1 / (0.5 + across * x + down * y))[None]


# ---------------------------------------------------------------------------------------------------------------------
# The truth


@settings(max_examples=25, deadline=None)
@given(st.floats(-0.45, 0.45), st.floats(-0.45, 0.45), st.sampled_from([(32, 40), (128, 160), (300, 400)]))
def test_planes_have_no_edges(across: float, down: float, size: tuple[int, int]) -> None:
    depth = plane(*size, across, down)
    assert (occlusion_edges(depth) == 0).all()


def test_a_steep_floor_is_no_edge_though_neighbours_differ() -> None:
    rows = torch.arange(1, 65.0).view(1, 64, 1).expand(1, 64, 48)
    depth = 20 / rows  # from 20 m to 0.3 m: neighbours differ by half at the horizon
    assert (occlusion_edges(depth) == 0).all()


@pytest.mark.parametrize("factor", [1.0, 0.01, 40.0])
def test_a_step_is_an_edge_on_both_sides_whatever_the_unit(factor: float) -> None:
    depth = torch.full((1, 32, 40), 4.0)
    depth[..., 20:] = 3.0
    edges = occlusion_edges(depth * factor)
    assert (edges[..., 19:21] == 1).all()
    assert edges.sum() == 2 * 32
    assert torch.equal(occlusion_edges(depth.mT * factor), edges.mT)


def test_a_small_step_and_a_corner_of_walls_are_no_edges() -> None:
    depth = torch.full((1, 32, 40), 4.0)
    depth[..., 20:] = 3.8
    assert (occlusion_edges(depth) == 0).all()
    columns = (torch.arange(40.0) - 20).abs()
    corner = (1 / (0.25 + 0.01 * columns)).expand(1, 32, 40)  # two walls that meet
    assert (occlusion_edges(corner) == 0).all()


def test_missing_depth_is_missing_and_so_are_its_neighbours() -> None:
    depth = torch.full((1, 32, 40), 4.0)
    depth[0, 10, 20] = 0
    edges = occlusion_edges(depth)
    missing = {(10, 20), (9, 20), (11, 20), (10, 19), (10, 21)}
    assert {(int(i), int(j)) for _, i, j in (edges == -1).nonzero()} == missing
    assert (edges[edges != -1] == 0).all()
    assert (occlusion_edges(torch.zeros(1, 8, 8)) == -1).all()


def test_edges_are_as_thick_at_any_resolution() -> None:
    shares = []
    for h, w in ((128, 160), (512, 640)):
        depth = torch.full((1, h, w), 4.0)
        depth[..., h // 4 : h // 2, w // 4 : w // 2] = 2.0
        shares.append(float((occlusion_edges(depth) == 1).float().mean()))
    assert shares[1] == pytest.approx(shares[0], rel=0.02)


def test_batches_make_edges_of_the_augmented_depth_on_the_grid(tmp_path: Path) -> None:
    write_toy_world(tmp_path, 4, seed=0)
    (tmp_path / "depth" / "000.png").unlink()
    folder = Folder(tmp_path)
    options = {"batch": 8, "recipe": Augment()}
    batch = Batches(folder, folder.ids, (64, 96), (32, 48), tasks=("depth", "edges"), **options)(0)
    assert batch.truths["edges"].shape == (8, 1, 32, 48)
    assert torch.equal(batch.truths["edges"], torch.stack([occlusion_edges(x) for x in batch.truths["depth"]]))
    assert (batch.truths["edges"][batch.ids.index("000")] == -1).all()
    assert (batch.truths["edges"] == 1).any()
    alone = Batches(folder, folder.ids, (64, 96), (32, 48), tasks=("edges",), images=False, **options)(0)
    assert set(alone.truths) == {"edges"}
    assert not len(alone.images)
    assert "000" not in alone.ids, "nothing to learn from"


# ---------------------------------------------------------------------------------------------------------------------
# Loss and energy


def random_pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and truth (4, 1, 12, 16), with missing pixels and few edges."""
    g = torch.Generator().manual_seed(seed)
    truth = (torch.rand(4, 1, 12, 16, generator=g) < 0.1).float()
    truth[torch.rand(truth.shape, generator=g) < 0.2] = -1
    return 3 * torch.randn(truth.shape, generator=g), truth


def test_loss_agrees_with_numpy() -> None:
    logits, truth = random_pair()
    p, t = 1 / (1 + np.exp(-logits.double().numpy())), truth.numpy()
    wanted = (-np.log(p[t == 1]).mean() - np.log(1 - p[t == 0]).mean()) / 2
    assert float(Edges().loss(logits, truth)) == pytest.approx(wanted, rel=1e-5)
    beta = (t == 0).sum() / (t >= 0).sum()  # HED, Equation 2: the same but for a factor of the batch
    hed = (-beta * np.log(p[t == 1]).sum() - (1 - beta) * np.log(1 - p[t == 0]).sum()) / (t >= 0).sum()
    assert wanted == pytest.approx(hed / (2 * beta * (1 - beta)), rel=1e-6)
    unweighted = -np.concatenate([np.log(p[t == 1]), np.log(1 - p[t == 0])]).mean()
    assert float(Edges().real_energy(logits, truth)) == pytest.approx(unweighted, rel=1e-5)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1.0])
def test_loss_of_one_class_or_none_is_finite(value: float) -> None:
    logits = torch.randn(2, 1, 8, 8, requires_grad=True)
    loss = Edges().loss(logits, torch.full((2, 1, 8, 8), value))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert (loss.item() == 0) == (value == -1)
    assert bool((logits.grad == 0).all()) == (value == -1)


def test_energy_is_least_where_the_predictions_agree() -> None:
    task, direct = Edges(), random_pair()[0]
    itself = task.energy_map(direct, direct)
    assert itself.shape == (4, 12, 16)
    assert (itself >= 0).all()
    for other in (direct + 0.5, -direct, torch.zeros_like(direct)):
        assert (task.energy_map(other, direct) >= itself).all()
    assert float(task.energy(direct, direct)) == pytest.approx(float(itself.mean()), rel=1e-5)
    assert float(task.energy_map(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))) == pytest.approx(task.trust.white)


def test_encoded_truth_looks_like_probabilities_and_keeps_its_side() -> None:
    truth = random_pair()[1]
    encoded = Edges().encode_truth(truth, torch.Generator().manual_seed(0))
    assert ((encoded > 0.5) == (truth == 1)).all()
    assert (encoded[truth == -1] == 0).all()
    hard = [bool(((one == 0) | (one == 1)).all()) for one in encoded]
    assert sorted(hard) == [False, False, True, True]


def test_accuracy_is_the_f_score_at_one_half() -> None:
    logits, truth = random_pair()
    found, edge = (logits > 0)[truth >= 0].numpy(), truth[truth >= 0].numpy() == 1
    precision, recall = edge[found].mean(), found[edge].mean()
    wanted = 2 * precision * recall / (precision + recall)
    assert Edges().accuracy(logits, truth) == {"f": pytest.approx(wanted)}


# ---------------------------------------------------------------------------------------------------------------------
# Metrics and files


def brute_force(p: np.ndarray, edge: np.ndarray) -> tuple[float, float]:
    """Average precision and the best F-score by trying every threshold."""
    average = best = before = 0.0
    for threshold in sorted(set(p.tolist()), reverse=True):
        found = p >= threshold
        hits = (found & edge).sum()
        precision, recall = hits / found.sum(), hits / edge.sum()
        average, before = average + precision * (recall - before), recall
        best = max(best, 2 * hits / (found.sum() + edge.sum()))
    return average, best


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.integers(2, BINS))
def test_meter_agrees_with_brute_force(seed: int, count: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 0.0, 1.0], (2, count, 7))
    truth[0, 0, 0] = 1
    # in the middle of a bin: the meter does not tell apart what is closer than a bin
    p = (np.floor(rng.integers(0, levels, truth.shape) * BINS / levels) + 0.5) / BINS
    meter = EdgesMeter()
    for one, wanted in zip(p, truth, strict=True):  # streamed
        meter.update(torch.from_numpy(one), torch.from_numpy(wanted))
    figures = meter.compute()
    average, best = brute_force(p[truth >= 0], truth[truth >= 0] == 1)
    assert figures["ap"] == pytest.approx(average, abs=1e-9)
    assert figures["f"] == pytest.approx(best, abs=1e-9)
    found, edge = p[truth >= 0] >= figures["threshold"], truth[truth >= 0] == 1
    assert 2 * (found & edge).sum() / (found.sum() + edge.sum()) == pytest.approx(best)
    assert figures["share"] == pytest.approx(edge.mean())


def test_meter_at_the_ends_and_without_edges() -> None:
    meter = EdgesMeter()
    assert meter.compute() == {}
    meter.update(torch.zeros(3, 3), torch.zeros(3, 3))
    assert meter.compute() == {}
    meter.update(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert meter.compute() == {"ap": 1, "f": 1, "threshold": 0.999, "share": pytest.approx(1 / 11)}


def test_shares_are_kept_in_files(tmp_path: Path) -> None:
    share = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    share[0, :3] = -1, 0, 1
    write_share(tmp_path / "edges" / "a.png", share)
    write_share(tmp_path / "depth" / "a.png", share)  # any picture: a folder needs a label or a photo
    found = Folder(tmp_path).read_label("edges", "a")
    assert found is not None
    assert found == pytest.approx(share, abs=0.5 / 254 + 1e-6)
    assert found[0, :3].tolist() == [-1, 0, 1]
    assert Folder(tmp_path).read_label("edges", "b") is None


def test_pictures() -> None:
    picture = Edges().picture(np.array([[0.0, 1.0, -1.0]], np.float32))
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert 0 < picture[0, 1].sum() < 200
    assert picture[0, 2].tolist() == [0, 0, 0]
