"""Self-training, not in the paper: a teacher says what photos show, and a student learns it from harder views of them.

The teacher, a moving average of the student, sees the photo and its mirror image as they are (`--looks`: a larger copy
too); the student sees it in other colours, blurred, noisy, through features of which some are missing (`--disturb`),
with patches hidden and objects pasted in, and rehearses labelled source images in every step, so that it cannot slide
away with its teacher. Of classes it learns the teacher's probabilities (`--sure`: the classes that it is sure of). By
default all weights are trained. Each domain has its own BatchNorm statistics in the encoder: the source's are those of
its training, the photos' those of whole photos as they are, which stand still (`--bn train`: each batch's own, which
are remembered). The teacher is what is kept, its depth at the source model's level and contrast (`depth_level`).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import truth_of
from umadapt.methods.depth_level import Levels, Line
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.methods.pseudo_labels import pseudo_label_map
from umadapt.methods.rehearsal import LEAST, rehearse
from umadapt.methods.strong_views import disturb, hide, paste
from umadapt.nets.activation_checkpointing import BatchNorm
from umadapt.nets.ensemble import consensus, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import masked_mean
from umadapt.training.ema import teaching
from umadapt.training.stage import Loss, Prepared, Stage, Turn

MOMENTUM = 0.05  # of BatchNorm's running statistics, which are those of the photos
WARM_UP = 30  # steps over which the learning rate rises


@dataclass(frozen=True, eq=False)
class Lesson(Prepared):
    """Photos with source images beside them, and what the student is to say of the photos."""

    hard: Tensor  # (B, 3, H, W), what it sees of them
    targets: Maps  # the teacher's
    weights: Maps  # task -> (B, h, w), what each pixel of them counts


def losses(model: UMAdapt, lesson: Lesson, config: Adapt, rehearsal: nn.Module, lines: Mapping[str, Line]) -> Loss:
    """Every task's loss on the source, and its distance to the teacher in units of the same distance there; where there
    are labelled photos, also the loss on these."""
    source = source_of(lesson.batch)
    with forgetting(model.target(config.trains).modules()):
        known = rehearse(model, rehearsal, source, lines)
    trunk = model.trunk(lesson.hard, "target")
    features = model.encoder.branches["target"](disturb(trunk) if config.disturb else trunk)
    student, targets, weights = model.decode(features), lesson.targets, lesson.weights
    terms, watch = {}, {}
    for name, task in model.tasks.items():
        watch[f"{name}/source"] = known[name].loss
        terms[name] = known[name].loss.log()  # no task counts more for having larger numbers
        with torch.no_grad():
            sure, there = task.as_prediction(known[name].truth)
            unit = masked_mean(task.energy_map(known[name].prediction, sure), there).clamp(min=LEAST)
        if task.categorical and config.sure:
            far = pseudo_label_map(student[name], targets[name], config.confidence)
        else:
            far = task.energy_map(student[name], targets[name])
        distance = global_batch.mean((weights[name] * far).mean())
        known_here = unit > LEAST  # else no image has a label of this task, and there is no unit
        terms[f"{name}/taught"] = config.consistency * distance / unit * known_here
    if lesson.batch.labelled is not None:
        for name, one in rehearse(model, partial(model.encoder, domain="target"), lesson.batch.labelled).items():
            watch[f"{name}/photos"] = one.loss
            terms[f"{name}/labelled"] = one.loss.log()
    return Loss(terms, {name: value.detach() for name, value in watch.items()})


def source_of(batch: Batch) -> Batch:
    """The source images beside the photos."""
    assert batch.source is not None
    return batch.source


@contextmanager
def forgetting(modules: Iterable[nn.Module]) -> Iterator[None]:
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


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch], given: Given = NOTHING) -> Stage[Lesson]:
    """One AdamW on the student; after each step the teacher follows it, and after the last the model takes its place.

    Args:
        batches: photos, also in their own colours; labelled source images beside them, and labelled photos or none.
        given: votes are the shares of the teacher's looks beside the direct one; levels are measured on the photos.
    """
    votes = shares_of(None, model.tasks, config.looks) if given.votes is None else given.votes
    parameters = model.adaptable(config.bn, config.trains)
    for norm in model.target(config.trains).modules():
        if isinstance(norm, BatchNorm):
            norm.momentum = MOMENTUM
    levels = Levels(model, given.photos) if given.photos and keeps_level(config) else None
    lines = levels.restore(model) if levels else {}
    teacher = copy.deepcopy(model)
    teacher.freeze(teacher)
    rehearsal = model.encoder.rehearsal()
    average, student = teacher.target(config.trains), model.target(config.trains)

    @torch.no_grad()
    def prepare(batch: Batch) -> Lesson:
        """What the teacher says of the photos, and what the student sees of them."""
        with global_batch.shared(len(batch)):  # draws are of the whole batch
            hard, source = batch.images, source_of(batch)
            targets = consensus(teacher, lambda x: teacher.encode(x, "target"), batch.plain, votes)
            weights: Maps = {name: torch.ones_like(target[:, 0]) for name, target in targets.items()}
            if config.paste:
                truths = truth_of(model, source)
                hard, targets, weights = paste(hard, targets, weights, source.images, truths, model.tasks, config.paste)
            return Lesson(batch, hide(hard, config.masked), targets, weights)

    encoder = list(model.target("encoder").parameters())
    slow = [p for p in encoder if p.requires_grad]
    rates = (slow, config.encoder_rate)
    follow = teaching(average, student, parameters, config.teacher_decay, config.steps)

    def after(step: int) -> None:
        follow(step)
        if levels and step + 1 == config.steps:
            levels.restore(model)

    turn = Turn[Lesson](
        "student", parameters, lambda lesson: losses(model, lesson, config, rehearsal, lines), config.lr, slow=rates
    )
    out = Stage("adapt", [turn], batches, config.steps, prepare=prepare, after=after, warm_up=WARM_UP)
    return dataclasses.replace(out, extra={"average": average}, shadows=(rehearsal,))


def keeps_level(options: Adapt) -> bool:
    """Whether depth is put back: not where labels of photos say how far things are, nor where decoders are not trained,
    which the source model shares."""
    return options.keep_level and options.trains == "all" and not options.labelled


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why the options ask for what the run has not."""
    if "transfer" in options.looks and not model.graph:
        return "the run has no transfer nets; leave transfer out of --looks"
    if options.paste and model.class_task is None:
        return "--paste takes objects by their class, and the run does not predict seg"
    return None


def variant(options: Adapt) -> str:
    """With labelled photos it has a name of its own."""
    return "self-training-labelled" if options.labelled else "self-training"


METHODS = (
    Method(
        "self-training",
        stage,
        variant=variant,
        lr=1e-3,
        trains="all",
        share=1.0,
        source="images",
        rehearses=True,
        plain=lambda options: True,
        votes=lambda options: options.looks,
        keeps_views=False,
        selects=False,
        refuse=refuse,
    ),
)
