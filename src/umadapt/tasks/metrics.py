"""Metrics of the three tasks, streamed, so that a test set of any size fits in memory: histograms, and the sums of each
image. Those are added exactly, so that the order of images does not show, nor on how many ranks they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from umadapt.errors import UserError

FLOOR_M = 1e-3  # OURS: a predicted depth below a millimetre counts as one, because logarithms and ratios need d > 0
BINS = 36_000  # of 0.005 degrees each, from 0 to 180: the median is off by at most half a bin
DEPTH_KEYS = ("rel", "log10", "rms", "rms_log", "sq_rel", "d1", "d2", "d3")


class DepthMeter:
    """Depth errors of Eigen et al. (NIPS 2014): rel, log10, rms, rms_log (natural), sq_rel, and d1, d2, d3.

    d_k is the share of pixels with max(d / d*, d* / d) < 1.25^k.

    Args:
        pooled: one mean over all valid pixels; if False, the mean over images of each image's own figures.
    """

    def __init__(self, pooled: bool = True):
        self.pooled = pooled
        self._sums: list[list[float]] = []  # of each image
        self._count = 0

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add one image (H, W), (1, H, W) or a batch (B, H, W), (B, 1, H, W): metres; 0 in `truth` = missing."""
        truth = truth.reshape(-1, *truth.shape[-2:])  # (B, H, W)
        prediction = prediction.reshape(truth.shape)
        for image, wanted in zip(prediction, truth, strict=True):
            valid = wanted > 0
            sums = _depth_sums(image[valid].float().clamp(min=FLOOR_M), wanted[valid].float())
            n = int(valid.sum())
            if self.pooled:
                self._sums.append(sums.tolist())
                self._count += n
            elif n:
                self._sums.append(_roots(sums / n).tolist())
                self._count += 1

    def merge(self, other: DepthMeter) -> None:
        """Add what another meter has seen."""
        self._sums += other._sums
        self._count += other._count

    def compute(self) -> dict[str, float]:
        """All figures as fractions and metres; empty when there was no valid pixel."""
        if not self._count:
            return {}
        means = _exact_sum(self._sums) / self._count
        return dict(zip(DEPTH_KEYS, (_roots(means) if self.pooled else means).tolist(), strict=True))


def _depth_sums(d: Tensor, truth: Tensor) -> Tensor:
    """Sums over pixels of the eight terms, in the order of DEPTH_KEYS; the two rms before their root. float64 (8,)."""
    difference = d - truth
    ratio = torch.maximum(d / truth, truth / d)
    log = d.log() - truth.log()
    square = difference.square()
    terms = (
        difference.abs() / truth,
        log.abs() / 2.302585092994046,
        square,
        log.square(),
        square / truth,
        ratio < 1.25,
        ratio < 1.25**2,
        ratio < 1.25**3,
    )
    return torch.stack([term.sum(dtype=torch.float64) for term in terms]).cpu()


def _exact_sum(rows: Sequence[Sequence[float]]) -> Tensor:
    """(n, k) numbers to their sums (k,) in float64, each the rounded exact sum: in any order the same."""
    return torch.tensor([math.fsum(column) for column in zip(*rows, strict=True)], dtype=torch.float64)


def _roots(means: Tensor) -> Tensor:
    means = means.clone()
    means[2:4] = means[2:4].sqrt()
    return means


class NormalsMeter:
    """Angular errors in degrees over all valid pixels (Fouhey et al., ICCV 2013), and Table 6's 1 - |cos|.

    Keys: mean, median, 11.25, 22.5, 30 (shares of pixels below that angle), 1-abs-cos. The median comes from a
    histogram with bins of 0.005 degrees. OURS: where the truth is valid and the prediction is missing (0, 0, 0) the
    angle counts as 90 degrees, because leaving such pixels out would reward predicting only the easy ones.
    """

    def __init__(self) -> None:
        self._sums: list[list[float]] = []  # of each image
        self._histogram = torch.zeros(BINS, dtype=torch.int64)

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add one image (3, H, W) or a batch (B, 3, H, W) of vectors of any length; 0 in `truth` = missing."""
        p = prediction.movedim(-3, -1).float()
        t = truth.movedim(-3, -1).float()  # (..., H, W, 3)
        valid = (t != 0).any(-1)
        p, t = p[valid], t[valid]  # (N, 3)
        dot = (p * t).sum(-1)
        # the arc tangent is exact at small angles, where float32's arc cosine is off by hundredths of a degree
        angle = torch.atan2(torch.linalg.cross(p, t).norm(dim=-1), dot).rad2deg()  # in [0, 180]
        cosine = dot / (p.norm(dim=-1) * t.norm(dim=-1)).clamp(min=1e-12)
        angle = torch.where((p == 0).all(-1), torch.full_like(angle, 90.0), angle)
        terms = (angle, angle < 11.25, angle < 22.5, angle < 30, 1 - cosine.abs().clamp(max=1))
        self._sums.append(torch.stack([term.sum(dtype=torch.float64) for term in terms]).tolist())
        bins = (angle * (BINS / 180)).long().clamp(max=BINS - 1)
        self._histogram += torch.bincount(bins, minlength=BINS).cpu()

    def merge(self, other: NormalsMeter) -> None:
        """Add what another meter has seen."""
        self._sums += other._sums
        self._histogram += other._histogram

    def compute(self) -> dict[str, float]:
        """Angles in degrees, everything else a fraction; empty when there was no valid pixel."""
        n = int(self._histogram.sum())
        if not n:
            return {}
        mean, below_11, below_22, below_30, absolute = (_exact_sum(self._sums) / n).tolist()
        median = (self._at_rank((n - 1) // 2) + self._at_rank(n // 2)) / 2
        return {
            "mean": mean,
            "median": median,
            "11.25": below_11,
            "22.5": below_22,
            "30": below_30,
            "1-abs-cos": absolute,
        }

    def _at_rank(self, rank: int) -> float:
        """Centre of the bin that holds the angle of this rank (0 = smallest)."""
        index = int(torch.searchsorted(self._histogram.cumsum(0), rank, right=True))
        return (index + 0.5) * 180 / BINS


class SegMeter:
    """Mean IoU, mean and pixel accuracy, and the IoU of each class, from a confusion matrix.

    Means are over the classes present in the ground truth of what was measured, and predictions count where there is
    truth only, as with cityscapesscripts.

    Args:
        classes: names, in the order of their ids.
        ignore: id of unlabelled pixels in the truth.
        never: ids that logits may not choose; of predicted labels they are no class.
        mean_over: ids of the classes that the means are over; None = all.
        official_mean: the mean IoU takes in, as 0, a class that is predicted and has no truth (cityscapesscripts).
    """

    def __init__(
        self,
        classes: Sequence[str],
        ignore: int = 255,
        never: Sequence[int] = (),
        mean_over: Sequence[int] | None = None,
        official_mean: bool = False,
    ):
        self.classes = tuple(classes)
        self.ignore = ignore
        self.never = [i for i in never if i < len(self.classes)]
        self.wanted = torch.zeros(len(self.classes), dtype=torch.bool)
        self.wanted[list(range(len(self.classes)) if mean_over is None else mean_over)] = True
        self.official_mean = official_mean
        # rows: truth; columns: prediction, the last one for anything that is no class
        self.confusion = torch.zeros(len(self.classes), len(self.classes) + 1, dtype=torch.int64)

    def update(self, prediction: Tensor, truth: Tensor) -> None:
        """Add labels (H, W), (B, H, W) or logits (C, H, W), (B, C, H, W) (floating point) beside true ids.

        Raises:
            UserError: the truth holds an id that is no class.
        """
        if prediction.is_floating_point():
            prediction = choose(prediction, self.never, dim=-3)
        count = len(self.classes)
        truth, prediction = truth.reshape(-1).long(), prediction.reshape(-1).long()
        valid = truth != self.ignore
        truth, prediction = truth[valid], prediction[valid]
        if truth.numel() and not 0 <= int(truth.min()) <= int(truth.max()) < count:
            raise UserError(
                f"the seg labels hold id {int(truth.max())}, but there are {count} classes (0 to {count - 1}) and "
                f"{self.ignore} for unlabelled. Look at the data with: umadapt check DATA"
            )
        prediction = torch.where((prediction < 0) | (prediction >= count), count, prediction)
        for id in self.never:
            prediction[prediction == id] = count
        cells = torch.bincount(truth * (count + 1) + prediction, minlength=count * (count + 1))
        self.confusion += cells.reshape(count, count + 1).cpu()

    def merge(self, other: SegMeter) -> None:
        """Add what another meter has seen."""
        self.confusion += other.confusion

    def compute(self) -> dict[str, float | dict[str, float]]:
        """miou, macc, pacc and iou {class: x}, fractions; empty when there was no valid pixel."""
        table = self.confusion.double()
        right, in_truth = table.diagonal(), table.sum(1)
        present = in_truth > 0
        union = in_truth + table[:, :-1].sum(0) - right
        counted = union > 0 if self.official_mean else present
        averaged, there = counted & self.wanted, present & self.wanted
        if not there.any():
            return {}
        iou = right / union.clamp(min=1)
        return {
            "miou": iou[averaged].mean().item(),
            "macc": (right[there] / in_truth[there]).mean().item(),
            "pacc": (right.sum() / in_truth.sum()).item(),
            "iou": {name: iou[i].item() for i, name in enumerate(self.classes) if counted[i]},
        }


def choose(logits: Tensor, never: Sequence[int] = (), dim: int = 0) -> Tensor:
    """The class of the largest logit along `dim`, none of `never` (ids)."""
    if never:
        logits = logits.clone()
        logits.index_fill_(dim, torch.tensor(list(never), device=logits.device), float("-inf"))
    return logits.max(dim).indices  # twice as fast as argmax on a CPU
