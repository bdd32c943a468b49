"""Stage 4: unsupervised adaptation of the target's Res-5 (Algorithm 2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
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
from umadapt.nets.encoder import Features
from umadapt.nets.ensemble import add_teacher_targets, distance, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import excess
from umadapt.training.sources import tuple_tasks
from umadapt.training.stage import Loss, Prepared, Stage, Turn


class Forward(NamedTuple):
    """M_t on a batch."""

    features: Features
    predictions: Maps


class Update(NamedTuple):
    """What a task's update needs to know: its loss, and the gradients of that by what is trained."""

    loss: Loss
    gradients: list[Tensor]


@dataclass(frozen=True, eq=False)
class Step(Prepared):
    """A batch of photos, and what several turns of a step share."""

    predict: Callable[[Batch], Maps]  # M_t as it is
    updates: Mapping[str, Update] = field(default_factory=dict)  # `--forward shared`: of every task

    @cached_property
    def fakes(self) -> Maps:
        """Predictions of the photos, made once for all critics, whose turns come last: M_t stands still by then."""
        return self.predict(self.batch)

    def only(self, index: int) -> Step:
        """One sample, without the updates, which are of the whole batch."""
        return Step(self.batch.only(index), self.predict)


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
    if config.consensus:
        terms["consensus"] = config.consensus * distance(model, predictions, batch.frozen.targets)
    if "seg" in predictions:
        probabilities = predictions["seg"].softmax(1)
        watch["entropy"] = -global_batch.mean(
            (probabilities * probabilities.clamp(min=1e-9).log()).sum(1).mean()
        ).detach()
    return Loss(terms, watch)


def reads(model: UMAdapt, graph: Sequence[str], config: Adapt) -> tuple[str, ...]:
    """The tasks whose predictions the energies of `graph` read, in the model's order; no other decoder runs."""
    needed = {name for task in graph for name in (task, *model.graph[task])}
    return tuple(task for task in model.tasks if config.consensus or task in needed)


@torch.enable_grad()
def shared_updates(
    model: UMAdapt, batch: Batch, graph: Sequence[str], config: Adapt, nets: nn.ModuleDict
) -> dict[str, Update]:
    """The losses of all tasks and their gradients by what is trained, from one forward.

    OURS: `--forward shared`. Algorithm 2 takes a fresh forward after each task's update; these gradients are all taken
    before the first one. They differ by what updates of one learning rate change (tests/methods/test_shared.py).
    """
    features = target_features(model, batch)
    trained = {name: x for name, x in features.items() if x.requires_grad}
    leaves = {name: x.detach().requires_grad_(True) for name, x in trained.items()}  # the encoder is passed once a task
    encoder = [p for p in model.target("encoder").parameters() if p.requires_grad]
    decoders = [p for p in model.decoders.parameters() if p.requires_grad]
    cut = {**features, **leaves}
    seen = Forward(cut, model.decode(cut, reads(model, graph, config)))
    found = {}
    for task in graph:
        made, again = generator_losses(model, batch, seen, task, config, nets), task != graph[-1]
        total = torch.stack(list(made.terms.values())).sum()
        inputs = [*leaves.values(), *decoders]
        pulls = torch.autograd.grad(total, inputs, retain_graph=again, allow_unused=True, materialize_grads=True)
        above, beyond = pulls[: len(leaves)], pulls[len(leaves) :]
        grads = torch.autograd.grad(list(trained.values()), encoder, above, retain_graph=again)
        terms = {name: term.detach() for name, term in made.terms.items()}
        found[task] = Update(Loss(terms, made.watch), [*grads, *beyond])
    return found


def surrogate(update: Update, parameters: list[nn.Parameter]) -> Loss:
    """A loss whose value is that of the terms together, and whose gradient by `parameters` is the given one."""
    (terms, watch), gradients = update
    linear = torch.stack([(p * g).sum() for p, g in zip(parameters, gradients, strict=True)]).sum()
    return Loss({"shared": torch.stack(list(terms.values())).sum() + (linear - linear.detach())}, {**watch, **terms})


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


def stage(
    model: UMAdapt,
    config: Adapt,
    batches: Callable[[int], Batch],
    given: Given = NOTHING,
) -> Stage[Step]:
    """One Adam a task on what `--adapt` names; in `adv` also one a transfer net, on a copy of the stage-1 nets.

    Args:
        batches: photos with contours; for the consensus also in their own colours; for `adv` source labels beside them
            at the steps on which the transfer nets are updated.
        given: the energy of real tuples of each task is the unit of `--margin`; votes are those of the consensus.
    """
    parameters = model.adaptable(config.bn, config.trains)
    votes = shares_of(None, model.tasks, config.witnesses) if given.votes is None else given.votes
    graph = [task for task in model.graph if config.method != "noadv-1" or task == "seg"]
    nets, extra = model.transfers, {}
    if config.method == "adv":
        nets = extra["critics"] = copy.deepcopy(model.transfers)  # eval mode, as whenever N serves as an energy
        nets.requires_grad_(True)
    teacher = copy.deepcopy(model).requires_grad_(False).eval() if config.consensus else model

    def forward(batch: Batch, tasks: tuple[str, ...]) -> Forward:
        features = target_features(model, batch)
        return Forward(features, model.decode(features, tasks))

    def adapt(step: Step, task: str) -> Loss:
        if task in step.updates:
            return surrogate(step.updates[task], parameters)
        seen = forward(step.batch, reads(model, (task,), config))
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
        ]

    def frozen(batch: Batch) -> Batch:
        """A frozen trunk's features serve all turns of the step, as do the teacher's targets."""
        batch = add_trunk_features(model, batch)
        return add_teacher_targets(teacher, batch, votes) if config.consensus else batch

    @torch.no_grad()
    def predict(batch: Batch) -> Maps:
        return forward(batch, tuple_tasks(model)).predictions

    @torch.no_grad()
    def prepare(batch: Batch) -> Step:
        batch = frozen(batch)
        if config.forward != "shared":
            return Step(batch, predict)
        with global_batch.shared(len(batch)):
            return Step(batch, predict, shared_updates(model, batch, graph, config, nets))

    still = None if trains_trunk(model) else frozen
    return Stage("adapt", turns, batches, config.steps, prepare=prepare, frozen=still, extra=extra)


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why Algorithm 2 has nothing to lower."""
    if options.method == "noadv-1" and "seg" not in model.graph:
        return "noadv-1 uses the transfer net of seg alone, and the run has none"
    return None


def _consensus(options: Adapt) -> bool:
    return options.consensus > 0


METHODS = (
    Method("noadv", stage, transfers=True, contours=True, plain=_consensus, refuse=refuse),
    Method("noadv-1", stage, transfers=True, contours=True, plain=_consensus, refuse=refuse),
    Method(
        "adv",
        stage,
        transfers=True,
        contours=True,
        plain=_consensus,
        source="tuples",
        source_tasks=tuple_tasks,
        source_every=lambda options: options.critic_every,
        refuse=refuse,
    ),
)
