"""Mean teacher (Tarvainen and Valpola, NeurIPS 2017) with confidence-weighted pseudo labels of all tasks, a peer.

The teacher is a moving average of the student's Res-5. It sees the photo's features as they are, the student sees
them disturbed, and learns the teacher's maps. The teacher is what is kept.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import add_trunk_features, target_features, trains_trunk, trunk_of
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.ema import teaching
from umadapt.training.stage import Loss, Prepared, Stage, Turn

DROPPED = 0.2  # share of the Res-4f channels that the student does not see
NOISE = 0.1  # deviation of the noise on them, in units of their own


@dataclass(frozen=True, eq=False)
class Lesson(Prepared):
    """A batch of photos, and what the teacher predicts of them."""

    targets: Maps


def losses(model: UMAdapt, lesson: Lesson, config: Adapt) -> Loss:
    """Every task's loss against the teacher's maps.

    OURS: depth and normals count everywhere alike, because neither has a confidence of its own.
    """
    features = model.encoder.branches["target"]({k: disturb(x) for k, x in trunk_of(model, lesson.batch).items()})
    student, targets = model.decode(features), lesson.targets
    terms = {}
    for name, task in model.tasks.items():
        if task.categorical:
            terms[name] = config.consistency * pseudo_label_loss(student[name], targets[name], config.confidence)
        else:
            terms[name] = config.consistency * task.energy(student[name], targets[name])
    return Loss(terms)


def disturb(features: Tensor) -> Tensor:
    """Drop channels and add noise.

    OURS: the disturbance is one of features (as in UniMatch, CVPR 2023), because the frozen trunk is then run once
    for teacher and student, and pixels keep their places for every task.
    """
    rows = global_batch.rows(len(features))
    kept = rows.draw(lambda count: F.dropout2d(features.new_ones(count, features.shape[1], 1, 1), DROPPED))
    channels_last = features.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format  # numbers are drawn in memory's order

    def normal(count: int) -> Tensor:
        shape = (count, *features.shape[1:])
        return torch.randn_like(torch.empty(shape, dtype=features.dtype, device=features.device, memory_format=layout))

    return features * kept + NOISE * global_batch.std(features) * rows.draw(normal)


def pseudo_label_loss(student: Tensor, teacher: Tensor, confidence: float) -> Tensor:
    """Cross-entropy with the teacher's classes, weighted by how far its probability lies above `confidence`.

    OURS: a soft weight, so that the loss is smooth in the teacher; where it is never confident the loss is 0.
    """
    probability, label = teacher.softmax(1).max(1)  # (B, h, w)
    weight = ((probability - confidence) / (1 - confidence)).clamp(min=0)
    values = F.cross_entropy(student, label, reduction="none")
    return global_batch.mean((weight * values).mean())


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch], given: Given = NOTHING) -> Stage[Lesson]:
    """One Adam on the student; after each step the teacher follows it, and after the last the model takes its place."""
    which = config.trains
    parameters = model.adaptable(config.bn, which)
    teacher = copy.deepcopy(model)
    teacher.freeze(teacher)
    average, student = teacher.target(which), model.target(which)

    frozen = partial(add_trunk_features, model)

    @torch.no_grad()
    def prepare(batch: Batch) -> Lesson:
        batch = frozen(batch)
        return Lesson(batch, teacher.decode(target_features(teacher, batch)))

    after = teaching(average, student, parameters, config.teacher_decay, config.steps)
    turn = Turn[Lesson]("student", parameters, lambda b: losses(model, b, config), config.lr)
    still = None if trains_trunk(model) else frozen
    extra: dict[str, nn.Module] = {"average": average}
    return Stage("adapt", [turn], batches, config.steps, prepare=prepare, frozen=still, extra=extra, after=after)


METHODS = (Method("mean-teacher", stage, lr=1e-5),)
