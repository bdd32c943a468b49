"""Stage 2: the base model with cross-task distillation (Algorithm 1)."""

from __future__ import annotations

from typing import Any

from torch import nn

from umadapt.cross_task import distillation
from umadapt.loop import Batch, Loss, Stage, Turn
from umadapt.nets.model import UMAdapt


def losses(model: UMAdapt, batch: Batch, task: str, alpha: float) -> Loss:
    """L_dist of one task on a source batch. Algorithm 1, lines 3 and 4."""
    return distillation(model, model.encode(batch["image"], "source"), batch, task, alpha)


def joint_losses(model: UMAdapt, batch: Batch, alpha: float) -> Loss:
    """The same terms of all tasks from one forward, for one optimiser (an option; the paper has one a task)."""
    predictions = model(batch["image"], "source")
    terms = {}
    encoded = {name: model.tasks[name].encode(predictions[name]) for name in predictions}
    for task, kind in model.tasks.items():
        target = kind.prepare(batch[task])
        terms[f"{task}/direct"] = kind.loss(predictions[task], target)
        if alpha and task in model.graph:
            terms[f"{task}/distil"] = alpha * kind.loss(model.transfer(task, encoded), target)
    return Loss(terms)


def stage(model: UMAdapt, batch: Any, steps: int, lr: float, alpha: float, optimiser: str) -> Stage:
    """One Adam a task over all parameters of the base model: each normalises its own gradients, which balances."""
    trained = nn.ModuleList([model.encoder, model.decoders])
    model.freeze(model)
    model.unfreeze(*trained)
    parameters = list(trained.parameters())
    if optimiser == "joint":
        turns = [Turn("all", parameters, lambda b: joint_losses(model, b, alpha), lr)]
    else:
        turns = [Turn(task, parameters, lambda b, t=task: losses(model, b, t, alpha), lr) for task in model.tasks]
    return Stage("base", turns, batch, steps)
