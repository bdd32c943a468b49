"""Metrics against independent NumPy code, torchmetrics, and their own invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.errors import UserError
from umadapt.tasks.metrics import DepthMeter, NormalsMeter, SegMeter, choose

SEEDS = st.integers(0, 2**31)


def depth_pair(seed, n=3, h=12, w=15):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.3, 9, (n, h, w)).astype(np.float32)
    truth[rng.random(truth.shape) < 0.2] = 0
    return np.exp(rng.normal(0.7, 0.6, truth.shape)).astype(np.float32), truth


def normals_pair(seed, n=3, h=12, w=15, spread=0.6):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, h, w, 3))
    truth /= np.linalg.norm(truth, axis=-1, keepdims=True)
    guess = truth + rng.normal(size=truth.shape) * spread
    guess /= np.linalg.norm(guess, axis=-1, keepdims=True)
    truth[rng.random((n, h, w)) < 0.2] = 0
    return (torch.from_numpy(np.moveaxis(x, -1, 1)).float() for x in (guess, truth))


def seg_pair(seed, classes=6, n=3, h=12, w=15):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (n, h, w))
    guess = np.where(rng.random(truth.shape) < 0.5, truth, rng.integers(0, classes, truth.shape))
    truth[rng.random(truth.shape) < 0.15] = 255
    return torch.from_numpy(guess), torch.from_numpy(truth)


def names(classes):
    return [f"class {i}" for i in range(classes)]


def measured(meter, *pairs):
    for prediction, truth in pairs:
        meter.update(prediction, truth)
    return meter.compute()


def numpy_depth(d, t):
    """The eight figures straight from their definitions (Eigen et al., NIPS 2014, section 4.2), in float64."""
    d, t = (x[t > 0].astype(np.float64) for x in (d, t))
    ratio = np.max([d / t, t / d], axis=0)
    return {
        "rel": np.mean(abs(d - t) / t),
        "log10": np.mean(abs(np.log10(d) - np.log10(t))),
        "rms": np.sqrt(np.mean((d - t) ** 2)),
        "rms_log": np.sqrt(np.mean((np.log(d) - np.log(t)) ** 2)),
        "sq_rel": np.mean((d - t) ** 2 / t),
        "d1": np.mean(ratio < 1.25),
        "d2": np.mean(ratio < 1.25**2),
        "d3": np.mean(ratio < 1.25**3),
    }


def numpy_seg(guess, truth, classes):
    """IoU class by class with masks instead of a confusion matrix."""
    valid = truth != 255
    iou, recall = {}, []
    for c in range(classes):
        p, t = valid & (guess == c), valid & (truth == c)
        if t.any():
            iou[f"class {c}"] = (p & t).sum() / (p | t).sum()
            recall.append((p & t).sum() / t.sum())
    pacc = (guess == truth)[valid].mean()
    return {"miou": np.mean(list(iou.values())), "macc": np.mean(recall), "pacc": pacc, "iou": iou}


# ---------------------------------------------------------------------------------------------------------------------
# Depth


def test_depth_agrees_with_numpy():
    d, t = depth_pair(0)
    assert measured(DepthMeter(), (torch.from_numpy(d), torch.from_numpy(t))) == pytest.approx(numpy_depth(d, t), 1e-6)


def test_depth_agrees_with_torchmetrics():
    regression = pytest.importorskip("torchmetrics.functional.regression")
    d, t = (torch.from_numpy(x) for x in depth_pair(1))
    found = measured(DepthMeter(), (d, t))
    d, t = d[t > 0].double(), t[t > 0].double()
    assert found["rel"] == pytest.approx(regression.mean_absolute_percentage_error(d, t).item(), 1e-5)
    assert found["rms"] == pytest.approx(regression.mean_squared_error(d, t, squared=False).item(), 1e-5)
    log = regression.mean_squared_error(d.log(), t.log(), squared=False).item()
    assert found["rms_log"] == pytest.approx(log, 1e-5)


def test_depth_pooled_and_averaged_differ_as_they_should():
    d, t = depth_pair(2)
    t[0, 2:] = 0  # few valid pixels: a small voice when pooled, a full one when averaged
    singles = [numpy_depth(d[i], t[i]) for i in range(len(d))]
    averaged = {key: np.mean([single[key] for single in singles]) for key in singles[0]}
    d, t = torch.from_numpy(d), torch.from_numpy(t)
    assert measured(DepthMeter(pooled=False), (d, t)) == pytest.approx(averaged, 1e-6)
    assert measured(DepthMeter(), (d, t))["rms"] != pytest.approx(averaged["rms"], 1e-6)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_depth_perfect_prediction(seed):
    _, t = depth_pair(seed)
    found = measured(DepthMeter(), (torch.from_numpy(t), torch.from_numpy(t)))
    assert found == {"rel": 0, "log10": 0, "rms": 0, "rms_log": 0, "sq_rel": 0, "d1": 1, "d2": 1, "d3": 1}


@given(SEEDS, st.floats(0.2, 5))
@settings(max_examples=20, deadline=None)
def test_depth_scale_of_the_world(seed, s):
    """In a world s times larger rms and sq_rel grow with it; all that is relative stays."""
    d, t = (torch.from_numpy(x) for x in depth_pair(seed))
    one, other = measured(DepthMeter(), (d, t)), measured(DepthMeter(), (d * s, t * s))
    for key in ("rel", "log10", "rms_log"):
        assert other[key] == pytest.approx(one[key], 1e-4)
    for key in ("rms", "sq_rel"):
        assert other[key] == pytest.approx(one[key] * s, 1e-4)


@given(SEEDS, st.booleans())
@settings(max_examples=20, deadline=None)
def test_depth_neither_order_nor_batching_matters(seed, pooled):
    d, t = (torch.from_numpy(x) for x in depth_pair(seed))
    whole = measured(DepthMeter(pooled), (d.unsqueeze(1), t.unsqueeze(1)))
    singles = measured(DepthMeter(pooled), *((d[i], t[i]) for i in (2, 0, 1)))
    assert singles == pytest.approx(whole, 1e-9)


def test_depth_zero_is_finite_and_nothing_is_nothing():
    zero, one = torch.zeros(1, 4, 4), torch.ones(1, 4, 4)
    found = measured(DepthMeter(), (zero, one))
    assert all(map(math.isfinite, found.values()))
    assert found["d3"] == 0
    assert measured(DepthMeter(), (one, zero)) == {}


# ---------------------------------------------------------------------------------------------------------------------
# Normals


def test_normals_agree_with_numpy():
    guess, truth = normals_pair(0)
    found = measured(NormalsMeter(), (guess, truth))
    p, t = (np.moveaxis(x.numpy().astype(np.float64), 1, -1) for x in (guess, truth))
    valid = (t != 0).any(-1)
    cosine = (p * t).sum(-1)[valid] / np.linalg.norm(p, axis=-1)[valid] / np.linalg.norm(t, axis=-1)[valid]
    angle = np.degrees(np.arccos(cosine.clip(-1, 1)))
    assert found["mean"] == pytest.approx(angle.mean(), 1e-5)
    assert found["median"] == pytest.approx(np.median(angle), abs=0.01)
    for limit in (11.25, 22.5, 30):
        assert found[f"{limit:g}"] == pytest.approx((angle < limit).mean(), abs=1e-9)
    assert found["1-abs-cos"] == pytest.approx((1 - abs(cosine)).mean(), 1e-4)


def test_normals_agree_with_torchmetrics():
    regression = pytest.importorskip("torchmetrics.functional.regression")
    guess, truth = normals_pair(1, spread=0.2)
    valid = (truth != 0).any(1)
    pair = (x.movedim(1, -1)[valid] for x in (guess, truth))
    cosine = regression.cosine_similarity(*pair, reduction="none").double()
    found = measured(NormalsMeter(), (guess, truth))
    assert found["1-abs-cos"] == pytest.approx((1 - cosine.abs()).mean().item(), abs=1e-6)
    assert found["mean"] == pytest.approx(cosine.clamp(-1, 1).arccos().rad2deg().mean().item(), abs=1e-2)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_normals_perfect_prediction_of_any_length(seed):
    _, truth = normals_pair(seed)
    found = measured(NormalsMeter(), (truth * 3, truth))
    assert found["mean"] == pytest.approx(0, abs=1e-3)
    assert found["median"] <= 0.01
    assert found["11.25"] == found["30"] == 1
    assert found["1-abs-cos"] == pytest.approx(0, abs=1e-6)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_normals_turning_the_world_changes_nothing(seed):
    guess, truth = normals_pair(seed)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)))
    one = measured(NormalsMeter(), (guess, truth))
    other = measured(NormalsMeter(), *((torch.einsum("ij,bjhw->bihw", turn, x) for x in (guess, truth)),))
    assert other["mean"] == pytest.approx(one["mean"], abs=1e-3)
    assert other["median"] == pytest.approx(one["median"], abs=0.01)
    assert other["1-abs-cos"] == pytest.approx(one["1-abs-cos"], abs=1e-4)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_normals_neither_order_nor_batching_matters(seed):
    guess, truth = normals_pair(seed)
    whole = measured(NormalsMeter(), (guess, truth))
    assert measured(NormalsMeter(), *((guess[i], truth[i]) for i in (2, 0, 1))) == pytest.approx(whole, 1e-7)


def test_normals_opposite_missing_and_none():
    up = torch.zeros(3, 2, 2)
    up[1] = 1
    opposite = measured(NormalsMeter(), (-up, up))
    assert opposite["mean"] == pytest.approx(180)
    assert opposite["1-abs-cos"] == pytest.approx(0, abs=1e-6)
    assert measured(NormalsMeter(), (torch.zeros(3, 2, 2), up))["mean"] == pytest.approx(90)
    assert measured(NormalsMeter(), (up, torch.zeros(3, 2, 2))) == {}


# ---------------------------------------------------------------------------------------------------------------------
# Segmentation


def test_seg_agrees_with_numpy():
    guess, truth = seg_pair(0)
    found, wanted = measured(SegMeter(names(6)), (guess, truth)), numpy_seg(guess.numpy(), truth.numpy(), 6)
    assert found.pop("iou") == pytest.approx(wanted.pop("iou"))
    assert found == pytest.approx(wanted)


def test_seg_agrees_with_torchmetrics():
    classification = pytest.importorskip("torchmetrics.functional.classification")
    guess, truth = seg_pair(1)
    options = {"num_classes": 6, "ignore_index": 255}
    found = measured(SegMeter(names(6)), (guess, truth))
    jaccard = classification.multiclass_jaccard_index(guess, truth, average="macro", **options)
    assert found["miou"] == pytest.approx(jaccard.item(), 1e-5)
    for key, average in (("macc", "macro"), ("pacc", "micro")):
        wanted = classification.multiclass_accuracy(guess, truth, average=average, **options)
        assert found[key] == pytest.approx(wanted.item(), 1e-5)


def test_seg_means_are_over_the_classes_of_the_truth():
    truth = torch.tensor([[0, 0], [1, 255]])
    guess = torch.tensor([[0, 2], [1, 3]])  # 2 is not in the truth, 3 stands on an unlabelled pixel
    found = measured(SegMeter(names(4)), (guess, truth))
    assert found["iou"] == {"class 0": 0.5, "class 1": 1.0}
    assert found["miou"] == 0.75
    assert found["macc"] == 0.75
    assert found["pacc"] == pytest.approx(2 / 3)


def test_seg_unlabelled_predictions_are_wrong():
    found = measured(SegMeter(names(2)), (torch.tensor([[0, 255]]), torch.tensor([[0, 0]])))
    assert found["pacc"] == 0.5
    assert found["iou"] == {"class 0": 0.5}


def test_seg_logits_and_classes_never_chosen():
    logits = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    logits[:, 3] += 10
    kept = logits.clone()
    truth = torch.full((2, 4, 4), 3)
    assert measured(SegMeter(names(5)), (logits, truth))["pacc"] == 1
    meter = SegMeter(names(5), never=(3, 39))
    labels = choose(logits, [3], dim=1)
    others = measured(meter, (logits, labels))
    assert others["pacc"] == 1
    assert not (labels == 3).any()
    as_labels = measured(SegMeter(names(5), never=(3,), official_mean=True), (logits.argmax(1), labels))
    assert as_labels["pacc"] == 0, "labels that hold it are wrong there"
    assert "3" not in str(as_labels["iou"]), "and no class of the mean"
    assert torch.equal(logits, kept)


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_seg_perfect_prediction(seed):
    _, truth = seg_pair(seed)
    found = measured(SegMeter(names(6)), (truth, truth))
    assert found["miou"] == found["macc"] == found["pacc"] == 1


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_seg_neither_order_nor_batching_nor_names_of_ids_matter(seed):
    guess, truth = seg_pair(seed)
    whole = measured(SegMeter(names(6)), (guess, truth))
    assert measured(SegMeter(names(6)), *((guess[i], truth[i]) for i in (2, 0, 1))) == whole
    renamed = torch.cat([torch.randperm(6, generator=torch.Generator().manual_seed(seed)), torch.full((250,), 255)])
    other = measured(SegMeter(names(6)), (renamed[guess], renamed[truth]))
    assert other["miou"] == pytest.approx(whole["miou"])
    assert other["pacc"] == whole["pacc"]


def test_seg_refuses_ids_that_are_no_class_and_gives_nothing_for_nothing():
    with pytest.raises(UserError, match=r"id 7.*4 classes"):
        SegMeter(names(4)).update(torch.zeros(1, 2, dtype=torch.long), torch.tensor([[0, 7]]))
    assert measured(SegMeter(names(4)), (torch.zeros(1, 2, dtype=torch.long), torch.full((1, 2), 255))) == {}
