"""Stage 5: UM-Adapt-S, a few labels of the target beside many photos without (Section 4.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

from umadapt.config import Semi
from umadapt.data.batch import Batch
from umadapt.methods.cross_task import add_trunk_features, content_loss, distillation, encode, target_features
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Stage, Turn


def labelled_losses(model: UMAdapt, batch: Batch, task: str, alpha: float) -> Loss:
    """L_dist of Algorithm 1 on a labelled target batch, through M_t."""
    return distillation(model, target_features(model, batch), batch, task, alpha)


def unlabelled_losses(model: UMAdapt, batch: Batch, task: str, config: Semi) -> Loss:
    """L_G + lambda L_CCR of Algorithm 2, lines 4 and 5, on a batch without labels; N stays as stage 1 left it."""
    features = target_features(model, batch)
    predictions = model.decode(features, (task, *model.graph[task]))
    cross = model.transfer(task, encode(model, predictions, config.gradient_mask))
    terms = {
        "energy": config.energy_weight * model.tasks[task].energy(cross, predictions[task]),
        "ccr": config.ccr * content_loss(model, features["res5"], batch.contours),
    }
    return Loss(terms)


def labelled_of(batch: Batch) -> Batch:
    """The labelled photos beside others."""
    assert batch.labelled is not None
    return batch.labelled


def stage(
    model: UMAdapt,
    config: Semi,
    labelled: Callable[[int], Batch],
    photos: Callable[[int], Batch],
) -> Stage[Batch]:
    """In each step a labelled batch, then one without labels; one Adam a task and kind of batch on the target's Res-5.

    OURS: two Adams a task, because the two kinds of gradients differ in size and Adam is what balances them.

    Args:
        labelled: target batches with truths of all tasks, missing everywhere where an image lacks one.
        photos: target batches with contours.
    """
    assert config.alpha is not None  # `umadapt.commands.semi` has put in that of the run
    alpha = config.alpha
    parameters = model.adaptable()
    if config.train_decoders:
        model.decoders.requires_grad_(True)  # their BatchNorm statistics stay the source's
        parameters += list(model.decoders.parameters())

    def learn(task: str) -> Turn[Batch]:
        loss = lambda b: labelled_losses(model, labelled_of(b), task, alpha)  # noqa: E731
        return Turn(f"labelled-{task}", parameters, loss, config.lr)

    def agree(task: str) -> Turn[Batch]:
        return Turn(task, parameters, lambda b: unlabelled_losses(model, b, task, config), config.lr)

    turns = [learn(task) for task in model.tasks] + [agree(task) for task in model.graph]

    frozen = partial(add_trunk_features, model)  # the trunk's features serve all turns of the step

    def prepare(batch: Batch) -> Batch:
        return dataclasses.replace(frozen(batch), labelled=frozen(labelled_of(batch)))

    def both(step: int) -> Batch:
        return dataclasses.replace(photos(step), labelled=labelled(step))

    return Stage("semi", turns, both, config.steps, prepare=prepare, frozen=frozen)
