"""Direct entropy minimisation (MinEnt of ADVENT, Vu et al., CVPR 2019, Section 3.1), a peer.

OURS: it trains the target's Res-5 alone, after the same statistics as the other methods, and reads no source: all
methods stand in the same box.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import add_trunk_features, target_features, trains_trunk
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Stage, Turn


def losses(model: UMAdapt, batch: Batch, task: str, weight: float) -> Loss:
    """Mean entropy of the class probabilities, in units of a uniform guess: 0 to 1 (ADVENT, Equation 2)."""
    logits = model.decode(target_features(model, batch), (task,))[task]
    log_p = logits.log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum(1).mean() / math.log(max(2, logits.shape[1]))
    return Loss({"entropy": weight * global_batch.mean(entropy)})


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch], given: Given = NOTHING) -> Stage[Batch]:
    """One Adam on what `--adapt` names."""
    parameters, task = model.adaptable(config.bn, config.trains), model.class_task
    assert task is not None  # `refuse` sees to it
    frozen = partial(add_trunk_features, model)
    turn = Turn[Batch](task, parameters, lambda b: losses(model, b, task, config.entropy_weight), config.lr)
    still = None if trains_trunk(model) else frozen
    return Stage("adapt", [turn], batches, config.steps, prepare=frozen, frozen=still)


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why it has nothing to lower."""
    return None if model.class_task else "minent lowers the entropy of seg, which the run does not predict"


METHODS = (Method("minent", stage, lr=1e-6, refuse=refuse),)  # rates of the peers: docs/results.md
