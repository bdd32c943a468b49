"""Which checkpoint of an adaptation to keep, without a single label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def choose(rows: Sequence[Mapping[str, Any]], real: Mapping[str, float]) -> int:
    """Index of the best of several checkpoints by what `score` says of them."""
    return min(range(len(rows)), key=lambda i: badness(rows[i], real))


def badness(row: Mapping[str, Any], real: Mapping[str, float]) -> float:
    """Entropy less diversity of the classes, plus the energies of the other tasks in units of real tuples.

    OURS: of a study over checkpoints of two targets (docs/results.md), this ranks best where every single energy
    fails. The energy of seg is a cross-entropy, so it falls as predictions become confident of few classes, and by it
    the most collapsed checkpoint would win. The mean entropy less the entropy of the mean class distribution
    (information maximisation, turned round) falls only while predictions become clear and stay varied; the energies
    of the other tasks hold against recipes that minimise just that. The lowest is the best.

    Args:
        row: what `score` gives.
        real: energy of real tuples by task, where it is known.
    """
    others = sum(x / real.get(task, 1.0) for task, x in row["energy"].items() if task != "seg")
    return others + row.get("entropy", 0.0) - row.get("diversity", 0.0)
