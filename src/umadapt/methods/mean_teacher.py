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
from torch import nn

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import add_trunk_features, target_features, trains_trunk, trunk_of
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.methods.pseudo_labels import pseudo_label_map
from umadapt.methods.strong_views import disturb
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.ema import teaching
from umadapt.training.stage import Loss, Prepared, Stage, Turn


@dataclass(frozen=True, eq=False)
class Lesson(Prepared):
    """A batch of photos, and what the teacher predicts of them."""

    targets: Maps


def losses(model: UMAdapt, lesson: Lesson, config: Adapt) -> Loss:
    """Every task's loss against the teacher's maps.

    OURS: depth and normals count everywhere alike, because neither has a confidence of its own. What disturbs the
    student is done to features, because the frozen trunk is then run once for teacher and student.
    """
    features = model.encoder.branches["target"](disturb(trunk_of(model, lesson.batch)))
    student, targets = model.decode(features), lesson.targets
    terms = {}
    for name, task in model.tasks.items():
        if task.categorical:
            distance = pseudo_label_map(student[name], targets[name], config.confidence)
            terms[name] = config.consistency * global_batch.mean(distance.mean())
        else:
            terms[name] = config.consistency * task.energy(student[name], targets[name])
    return Loss(terms)


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
