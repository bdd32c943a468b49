"""Which checkpoint of an adaptation to keep, without a single label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from umadapt.tasks import class_task

LEAST = 1e-9  # stands for a distance of zero
WEIGHT = 2.0  # of the information; 1 to 3 rank alike


def choose(rows: Sequence[Mapping[str, Any]]) -> int:
    """Index of the best of several checkpoints by what `score` says of them."""
    return min(range(len(rows)), key=lambda i: badness(rows[i]))


def badness(row: Mapping[str, Any]) -> float:
    """Distance to the source model's consensus, less where seg and the other tasks tell more of each other.

    OURS: exp(mean log d_t - WEIGHT I). d_t is the distance of task t to what several witnesses of the source model
    agree on (`nets.ensemble`), which errs less than the source model and cannot move with a checkpoint. I = H(mean
    prediction of seg) - E_seg is, in nats, the least that the other tasks' maps tell of the classes (Barber and Agakov,
    NIPS 2003, with the transfer net as the decoder). The cross-task energy E_seg alone is low, too, where one class is
    everywhere, which tells nothing. Of the label-free figures of a study over checkpoints of three targets this alone
    ranks those of each (docs/results.md, "What smaller networks taught").

    Args:
        row: what `score` gives. The lowest of several is the best.
    """
    distances = row["distance"].values()
    return math.exp(sum(math.log(max(x, LEAST)) for x in distances) / len(distances) - WEIGHT * information(row))


def information(row: Mapping[str, Any]) -> float:
    """I of `badness` in nats; 0 where no transfer net predicts seg."""
    classified = class_task(row["energy"])
    return row["diversity"] - row["energy"][classified] if classified else 0.0
