"""Self-training, not in the paper: a teacher says what photos show, and a student learns it from harder views of them.

The teacher, a moving average of the student, sees the photo and its mirror image as they are; the student sees it in
other colours, blurred, noisy, and with patches hidden (MIC, Hoyer et al., CVPR 2023), and rehearses labelled source
images in every step, so that it cannot slide away with its teacher. By default all weights are trained. BatchNorm
normalises source and photos each by their own batch and remembers those of the photos. The teacher is what is kept.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt import together
from umadapt.average import follow
from umadapt.config import Adapt
from umadapt.consensus import look
from umadapt.loop import Batch, Loss, Stage, Turn
from umadapt.nets.model import Maps, UMAdapt
from umadapt.nets.recompute import BatchNorm

LEAST = 1e-6  # a loss below this has no gradient
MOMENTUM = 0.05  # of BatchNorm's running statistics, which are those of the photos
WARM_UP = 30  # steps over which the learning rate rises
PATCH = 32  # side in pixels of what is hidden


def losses(model: UMAdapt, batch: Batch, config: Adapt) -> Loss:
    """Every task's loss on the source, and its distance to the teacher in units of that."""
    source = batch["source"]
    with forgetting(model.target(config.trains).modules()):
        known = model(source["image"], "target")
    student, taught = model(batch["hard"], "target"), batch["taught"]
    terms, watch = {}, {}
    for name, task in model.tasks.items():
        rehearsed = task.loss(known[name], task.prepare(source[name])).clamp(min=LEAST)
        unit = watch[f"{name}/source"] = rehearsed.detach()
        terms[name] = rehearsed.log()  # no task counts more for having larger numbers
        terms[f"{name}/taught"] = config.consistency * task.energy(student[name], taught[name]) / unit
    return Loss(terms, watch)


@contextmanager
def forgetting(modules: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Inside, BatchNorm that trains normalises by the batch and remembers nothing of it."""
    norms = [module for module in modules if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def hide(images: Tensor, share: float) -> Tensor:
    """Images (B, 3, H, W) of which every other one, at random, has a share of its patches grey."""
    if not share:
        return images
    h, w = images.shape[-2:]
    rows, cells = together.rows(len(images)), (math.ceil(h / PATCH), math.ceil(w / PATCH))
    hidden = rows.draw(lambda count: torch.rand(count, 1, *cells)) < share
    hidden &= rows.draw(lambda count: torch.rand(count, 1, 1, 1)) < 0.5
    mask = F.interpolate(hidden.to(images), scale_factor=PATCH, mode="nearest")[..., :h, :w]
    return images.lerp(images.new_full((), 0.5), mask)


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch]) -> Stage:
    """One AdamW on the student; after each step the teacher follows it, and after the last the model takes its place.

    Args:
        batches: photos as "plain" and, in other colours, "image"; "source": labelled images.
    """
    parameters = model.adaptable("train", config.trains)
    for norm in model.target(config.trains).modules():
        if isinstance(norm, BatchNorm):
            norm.momentum = MOMENTUM
    teacher = copy.deepcopy(model)
    teacher.freeze(teacher)
    mirror = {"mirror": dict.fromkeys(model.tasks, 0.5)}
    average, student = teacher.target(config.trains), model.target(config.trains)

    @torch.no_grad()
    def prepare(batch: Batch) -> Batch:
        taught: Maps = look(teacher, lambda x: teacher.encode(x, "target"), batch["plain"], mirror)
        return {**batch, "hard": hide(batch["image"], config.masked), "taught": taught}

    @torch.no_grad()
    def after(step: int) -> None:
        follow(average, student, parameters, config.teacher_decay, step)
        if step + 1 == config.steps:
            student.load_state_dict(average.state_dict())

    encoder = list(model.target("encoder").parameters())
    loss: Callable[[Batch], Loss] = lambda b: losses(model, b, config)  # noqa: E731
    turn = Turn("student", parameters, loss, config.lr, slow=(encoder, config.encoder_rate))
    out = Stage("adapt", [turn], batches, config.steps, prepare=prepare, after=after, warm_up=WARM_UP)
    return dataclasses.replace(out, extra={"average": average})
