"""Stage 2: the base model with cross-task distillation (Algorithm 1)."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import torch
from torch import nn

from umadapt.data.batch import Batch
from umadapt.methods.cross_task import distillation
from umadapt.nets.model import UMAdapt
from umadapt.training.ema import follow
from umadapt.training.stage import Loss, Stage, Turn

LEAST = 1e-6  # a loss below this, as that of a batch without labels, has no gradient in the joint form


def losses(model: UMAdapt, batch: Batch, task: str, alpha: float) -> Loss:
    """L_dist of one task on a source batch. Algorithm 1, line 3."""
    return distillation(model, model.encode(batch.images, "source"), batch, task, alpha)


def joint_losses(model: UMAdapt, batch: Batch, alpha: float) -> Loss:
    """The same losses of all tasks from one forward, for one optimiser.

    OURS: the sum of the logarithms of L_dist (a geometric mean, as in MultiNet++, Chennupati et al., CVPRW 2019). So
    no task counts more for having larger numbers, which is what one Adam a task gives the paper. In a plain sum seg,
    whose cross-entropy is fifty times depth's BerHu, decides alone, and more so with its distillation term.
    """
    predictions = model(batch.images, "source")
    encoded = {name: model.tasks[name].encode(predictions[name]) for name in predictions}
    terms, watch = {}, {}
    for task, kind in model.tasks.items():
        target = kind.prepare(batch.truths[task])
        loss = watch[f"{task}/direct"] = kind.loss(predictions[task], target)
        if alpha and task in model.graph:
            watch[f"{task}/distil"] = alpha * kind.loss(model.transfer(task, encoded), target)
            loss = loss + watch[f"{task}/distil"]
        terms[task] = loss.clamp(min=LEAST).log()
    return Loss(terms, {name: value.detach() for name, value in watch.items()})


def stage(
    model: UMAdapt,
    batches: Callable[[int], Batch],
    steps: int,
    lr: float,
    alpha: float,
    optimiser: str,
    encoder_rate: float = 1.0,
    ema: float = 0.0,
) -> Stage[Batch]:
    """One Adam a task over all parameters of the base model: each normalises its own gradients, which balances.
    Algorithm 1, lines 2 and 4.

    Args:
        optimiser: "per-task", or "joint" for one Adam and one forward a step (an option).
        encoder_rate: learning rate of the encoder as a share of `lr`.
        ema: decay of a moving average of the weights, which takes their place after the last step (an option).
    """
    trained = nn.ModuleList([model.encoder, model.decoders])
    model.freeze(model)
    model.unfreeze(*trained)
    parameters = list(trained.parameters())
    slow = (list(model.encoder.parameters()), encoder_rate)
    if optimiser == "joint":
        turns = [Turn[Batch]("all", parameters, lambda b: joint_losses(model, b, alpha), lr, slow=slow)]
    else:
        turns = [
            Turn[Batch](task, parameters, lambda b, t=task: losses(model, b, t, alpha), lr, slow=slow)
            for task in model.tasks
        ]
    out = Stage("base", turns, batches, steps)
    return averaged(out, trained, ema) if ema else out


def averaged(stage: Stage[Batch], trained: nn.Module, decay: float) -> Stage[Batch]:
    """The same stage, at whose end `trained` becomes the moving average of its weights."""
    average = copy.deepcopy(trained).requires_grad_(False)

    @torch.no_grad()
    def after(step: int) -> None:
        follow(average, trained, trained.parameters(), decay, step)
        if step + 1 == stage.steps:
            trained.load_state_dict(average.state_dict())

    return dataclasses.replace(stage, extra={**stage.extra, "average": average}, after=after)
