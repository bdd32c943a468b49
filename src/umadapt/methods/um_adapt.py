"""Stage 4: unsupervised adaptation of the target's Res-5 (Algorithm 2)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.config import Adapt
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import add_trunk_features, content_loss, encode, target_features, trains_trunk
from umadapt.methods.method import NOTHING, Given, Method
from umadapt.nets.ensemble import add_taught, distance, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import excess
from umadapt.training.sources import tuple_tasks
from umadapt.training.trainer import Batch, Loss, Stage, Turn


def generator_losses(model: UMAdapt, batch: Batch, task: str, config: Adapt, nets: nn.ModuleDict) -> Loss:
    """L_G + lambda L_CCR of one task. Algorithm 2, lines 4 and 5; gradients pass both the prediction and N."""
    if "features" in batch:  # a forward that all tasks share
        features, predictions = batch["features"], batch["predictions"]
    else:
        features = target_features(model, batch)
        predictions = model.decode(features, reads(model, (task,), config))
    cross = model.transfer(task, encode(model, predictions, config.gradient_mask), nets)
    energy = model.tasks[task].energy(cross, predictions[task])
    terms = {
        "energy": config.energy_weight * energy,
        "ccr": config.ccr * content_loss(model, features["res5"], batch["contour"]),
    }
    watch = {"tuple_energy": energy.detach()}
    if config.consensus:
        terms["consensus"] = config.consensus * distance(model, predictions, batch["taught"])
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
def shared_gradients(
    model: UMAdapt, batch: Batch, graph: Sequence[str], config: Adapt, loss: Callable[[Batch, str], Loss]
) -> dict[str, tuple[Loss, list[Tensor]]]:
    """The losses of all tasks and their gradients by what is trained, from one forward.

    OURS: `--forward shared`. Algorithm 2 takes a fresh forward after each task's update; these gradients are all taken
    before the first one. They differ by what updates of one learning rate change (tests/methods/test_shared.py).
    """
    features = target_features(model, batch)
    trained = {name: x for name, x in features.items() if x.requires_grad}
    leaves = {name: x.detach().requires_grad_(True) for name, x in trained.items()}  # the encoder is passed once a task
    encoder = [p for p in model.target("encoder").parameters() if p.requires_grad]
    decoders = [p for p in model.decoders.parameters() if p.requires_grad]
    seen = {**features, **leaves}
    shared = {**batch, "features": seen, "predictions": model.decode(seen, reads(model, graph, config))}
    found = {}
    for task in graph:
        made, again = loss(shared, task), task != graph[-1]
        total = torch.stack(list(made.terms.values())).sum()
        inputs = [*leaves.values(), *decoders]
        pulls = torch.autograd.grad(total, inputs, retain_graph=again, allow_unused=True, materialize_grads=True)
        above, beyond = pulls[: len(leaves)], pulls[len(leaves) :]
        grads = torch.autograd.grad(list(trained.values()), encoder, above, retain_graph=again)
        terms = {name: term.detach() for name, term in made.terms.items()}
        found[task] = (Loss(terms, made.watch), [*grads, *beyond])
    return found


def surrogate(made: tuple[Loss, list[Tensor]], parameters: list[nn.Parameter]) -> Loss:
    """A loss whose value is that of the terms together, and whose gradient by `parameters` is the given one."""
    (terms, watch), grads = made
    linear = torch.stack([(p * g).sum() for p, g in zip(parameters, grads, strict=True)]).sum()
    return Loss({"shared": torch.stack(list(terms.values())).sum() + (linear - linear.detach())}, {**watch, **terms})


def critic_losses(
    model: UMAdapt, batch: Batch, source: Batch, task: str, config: Adapt, nets: nn.ModuleDict, margin: float
) -> Loss:
    """L_D of one task. Algorithm 2, lines 7 and 8.

    OURS: max(0, margin - fake) as in EBGAN instead of the printed "real - fake", which has no lower bound and ruins
    the energy of real tuples; `energy="literal"` gives the printed form. The fake energy is the disagreement alone,
    as that of real tuples is, whose truth has no entropy; N can move nothing else of it.
    """
    kind = model.tasks[task]
    with torch.no_grad():
        predictions = fakes_of(model, batch)
        maps = {name: t.prepare(source[name]) for name, t in model.tasks.items() if name in source}
        if config.real_tuples == "pred":  # the hat over Y_s in Algorithm 2
            inputs = encode(model, model(source["image"], "source"), config.gradient_mask)
        else:
            inputs = {name: model.tasks[name].encode_truth(maps[name]) for name in model.graph[task]}
        fakes = {name: model.tasks[name].encode(predictions[name]) for name in model.graph[task]}
    real = kind.real_energy(model.transfer(task, inputs, nets), maps[task])
    fake = excess(kind, model.transfer(task, fakes, nets), predictions[task])
    terms = {"real": real, "fake": -fake if config.energy == "literal" else F.relu(margin - fake)}
    return Loss(terms, {"real_energy": real.detach(), "fake_energy": fake.detach()})


def fakes_of(model: UMAdapt, batch: Batch) -> Maps:
    """Predictions of the batch's photos, made once for all critics: M_t stands still while they learn."""
    if "fakes" not in batch:
        needed = {name for task, inputs in model.graph.items() for name in (task, *inputs)}
        tasks = tuple(name for name in model.tasks if name in needed)
        batch["fakes"] = model.decode(target_features(model, batch), tasks)
    return batch["fakes"]


def stage(
    model: UMAdapt,
    config: Adapt,
    batches: Callable[[int], Batch],
    given: Given = NOTHING,
) -> Stage:
    """One Adam a task on what `--adapt` names; in `adv` also one a transfer net, on a copy of the stage-1 nets.

    Args:
        batches: target batches with "image" and "contour"; for `adv`, "source" holds a batch of source labels at the
            steps on which the transfer nets are updated.
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

    def loss(batch: Batch, task: str) -> Loss:
        batch.pop("fakes", None)  # M_t is about to move
        whole, found = batch.get("shared", (None, {}))
        if whole is batch["ids"]:  # not one sample of it, which the loop takes to find a bad one
            return surrogate(found[task], parameters)
        return generator_losses(model, batch, task, config, nets)

    rates = "--lr or --critic-lr" if config.method == "adv" else "--lr"
    turns = [Turn(task, parameters, lambda b, t=task: loss(b, t), config.lr, option=rates) for task in graph]
    if config.method == "adv":
        turns += [
            Turn(
                f"critic-{task}",
                list(nets[task].parameters()),
                lambda b, t=task: critic_losses(model, b, b["source"], t, config, nets, config.margin * given.real[t]),
                config.critic_lr,
                every=config.critic_every,
                option="--critic-lr",
            )
            for task in graph
        ]

    def frozen(batch: Batch) -> Batch:
        """A frozen trunk's features serve all turns of the step, as does what the teacher says."""
        batch = add_trunk_features(model, batch)
        return add_taught(teacher, batch, votes) if config.consensus else batch

    @torch.no_grad()
    def prepare(batch: Batch) -> Batch:
        batch = {**frozen(batch)}  # what is added stays with this step
        if config.forward == "shared":
            with global_batch.shared(len(batch["ids"])):
                batch["shared"] = batch["ids"], shared_gradients(model, batch, graph, config, loss)
        return batch

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
