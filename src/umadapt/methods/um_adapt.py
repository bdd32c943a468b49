"""Stage 4: unsupervised adaptation of the target's Res-5 (Algorithm 2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from torch import nn
from torch.nn import functional as F

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import (
    add_trunk_features,
    content_loss,
    encode,
    target_features,
    trains_trunk,
    truth_of,
)
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import excess
from umadapt.training.shared_forward import Forward, Update, shared_updates, surrogate
from umadapt.training.sources import tuple_tasks
from umadapt.training.stage import Loss, Prepared, Stage, Turn


def generator_losses(
    model: UMAdapt, batch: Batch, seen: Forward, task: str, config: Adapt, nets: nn.ModuleDict
) -> Loss:
    """L_G + lambda L_CCR of one task. Algorithm 2, lines 4 and 5; gradients pass both the prediction and N."""
    features, predictions = seen
    cross = model.transfer(task, encode(model, predictions, config.gradient_mask), nets)
    energy = model.tasks[task].energy(cross, predictions[task])
    terms = {
        "energy": config.energy_weight * energy,
        "ccr": config.ccr * content_loss(model, features["res5"], batch.contours),
    }
    watch = {"tuple_energy": energy.detach()}
    if model.class_task in predictions:
        probabilities = predictions[model.class_task].softmax(1)
        watch["entropy"] = -global_batch.mean(
            (probabilities * probabilities.clamp(min=1e-9).log()).sum(1).mean()
        ).detach()
    return Loss(terms, watch)


def critic_losses(
    model: UMAdapt, fakes: Maps, source: Batch, task: str, config: Adapt, nets: nn.ModuleDict, margin: float
) -> Loss:
    """L_D of one task. Algorithm 2, lines 7 and 8.

    OURS: max(0, margin - fake) as in EBGAN instead of the printed "real - fake", which has no lower bound and ruins
    the energy of real tuples; `energy="literal"` gives the printed form. The fake energy is the disagreement alone,
    as that of real tuples is, whose truth has no entropy; N can move nothing else of it.

    Args:
        fakes: predictions of the photos.
        source: labelled images.
    """
    kind = model.tasks[task]
    with torch.no_grad():
        maps = truth_of(model, source)
        if config.real_tuples == "pred":  # the hat over Y_s in Algorithm 2
            inputs = encode(model, model(source.images, "source"), config.gradient_mask)
        else:
            inputs = {name: model.tasks[name].encode_truth(maps[name]) for name in model.graph[task]}
        encoded = {name: model.tasks[name].encode(fakes[name]) for name in model.graph[task]}
    real = kind.real_energy(model.transfer(task, inputs, nets), maps[task])
    fake = excess(kind, model.transfer(task, encoded, nets), fakes[task])
    terms = {"real": real, "fake": -fake if config.energy == "literal" else F.relu(margin - fake)}
    return Loss(terms, {"real_energy": real.detach(), "fake_energy": fake.detach()})


def reads(model: UMAdapt, graph: Sequence[str]) -> tuple[str, ...]:
    """The tasks whose predictions the energies of `graph` read, in the model's order; no other decoder runs."""
    needed = {name for task in graph for name in (task, *model.graph[task])}
    return tuple(task for task in model.tasks if task in needed)


@dataclass(frozen=True, eq=False)
class Step(Prepared):
    """A batch of photos, and what several turns of a step share."""

    predict: Callable[[Batch], Maps]  # M_t as it is
    updates: Mapping[str, Update] = field(default_factory=dict)  # of every task with `--forward shared`

    @cached_property
    def fakes(self) -> Maps:
        """Predictions of the photos, made once for all critics, whose turns come last: M_t stands still by then."""
        return self.predict(self.batch)

    def only(self, index: int) -> Step:
        """One sample, without the updates, which are of the whole batch."""
        return Step(self.batch.only(index), self.predict)


def stage(
    model: UMAdapt,
    config: Adapt,
    batches: Callable[[int], Batch],
    given: Given = NOTHING,
) -> Stage[Step]:
    """One Adam a task on what `--adapt` names; in `adv` also one a transfer net, on a copy of the stage-1 nets.

    Args:
        batches: photos with contours; for `adv` source labels beside them at the steps on which the transfer nets are
            updated.
        given: the energy of real tuples of each task is the unit of `--margin`.
    """
    parameters = model.adaptable(config.bn, config.trains)
    graph = [task for task in model.graph if config.method != "noadv-1" or task == model.class_task]
    nets, extra = model.transfers, {}
    if config.method == "adv":
        nets = extra["critics"] = copy.deepcopy(model.transfers)  # eval mode, as whenever N serves as an energy
        nets.requires_grad_(True)

    def forward(batch: Batch, tasks: tuple[str, ...]) -> Forward:
        features = target_features(model, batch)
        return Forward(features, model.decode(features, tasks))

    def adapt(step: Step, task: str) -> Loss:
        if task in step.updates:
            return surrogate(step.updates[task], parameters)
        seen = forward(step.batch, reads(model, (task,)))
        return generator_losses(model, step.batch, seen, task, config, nets)

    def judge(step: Step, task: str) -> Loss:
        assert step.batch.source is not None
        margin = config.margin * given.real[task]
        return critic_losses(model, step.fakes, step.batch.source, task, config, nets, margin)

    rates = "--lr or --critic-lr" if config.method == "adv" else "--lr"
    turns = [Turn(task, parameters, partial(adapt, task=task), config.lr, option=rates) for task in graph]
    if config.method == "adv":
        turns += [
            Turn(
                f"critic-{task}",
                list(nets[task].parameters()),
                partial(judge, task=task),
                config.critic_lr,
                every=config.critic_every,
                option="--critic-lr",
            )
            for task in graph
            if task in model.learnt_transfers
        ]

    frozen = partial(add_trunk_features, model)  # a frozen trunk's features serve all turns of the step

    @torch.no_grad()
    def predict(batch: Batch) -> Maps:
        return forward(batch, tuple_tasks(model)).predictions

    @torch.no_grad()
    def prepare(batch: Batch) -> Step:
        batch = frozen(batch)
        if config.forward != "shared":
            return Step(batch, predict)
        loss = lambda seen, task: generator_losses(model, batch, seen, task, config, nets)  # noqa: E731
        with global_batch.shared(len(batch)), torch.enable_grad():
            features = target_features(model, batch)
            return Step(batch, predict, shared_updates(model, features, reads(model, graph), graph, loss))

    still = None if trains_trunk(model) else frozen
    return Stage("adapt", turns, batches, config.steps, prepare=prepare, frozen=still, extra=extra)


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why Algorithm 2 has nothing to lower."""
    if options.method == "noadv-1" and model.class_task not in model.graph:
        return "noadv-1 uses the transfer net of seg alone, and the run has none"
    return None


METHODS = (
    Method("noadv", stage, lr=1e-5, transfers=True, contours=True, refuse=refuse),
    Method("noadv-1", stage, lr=1e-5, transfers=True, contours=True, refuse=refuse),
    Method(
        "adv",
        stage,
        lr=1e-5,
        transfers=True,
        contours=True,
        source="tuples",
        source_tasks=tuple_tasks,
        source_every=lambda options: options.critic_every,
        refuse=refuse,
    ),
)
