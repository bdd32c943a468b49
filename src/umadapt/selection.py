"""Which checkpoint of an adaptation to keep, without a single label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

LEAST = 1e-9  # stands for a distance of zero


def choose(rows: Sequence[Mapping[str, Any]]) -> int:
    """Index of the best of several checkpoints by what `score` says of them."""
    return min(range(len(rows)), key=lambda i: badness(rows[i]))


def badness(row: Mapping[str, Any]) -> float:
    """Geometric mean over the tasks of the distance to the source model's consensus. The lowest is the best.

    OURS: what several witnesses of the source model agree on (`consensus.py`) errs less than the source model, and
    cannot move with a checkpoint. Of all label-free figures of a study over checkpoints of two targets it ranks best
    (docs/results.md). The cross-task energies fail there: that of seg is a cross-entropy, which is the lowest where
    predictions have become sure of few classes.

    Args:
        row: what `score` gives.
    """
    distances = row["distance"].values()
    return math.exp(sum(math.log(max(x, LEAST)) for x in distances) / len(distances))
