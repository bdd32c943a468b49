"""Stage 4: unsupervised adaptation of the target's Res-5 (Algorithm 2)."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.config import Adapt
from umadapt.loop import Batch, Loss, Stage, Turn
from umadapt.nets.gradient import keep_probability, mask_gradient
from umadapt.nets.model import Maps, UMAdapt


def generator_losses(model: UMAdapt, batch: Batch, task: str, config: Adapt, nets: nn.ModuleDict) -> Loss:
    """L_G + lambda L_CCR of one task. Algorithm 2, lines 4 and 5; gradients pass both the prediction and N."""
    features = model.encoder.branches["target"](batch["res4"])
    predictions = model.decode(features, (task, *model.graph[task]))
    cross = model.transfer(task, encode(model, predictions, config), nets)
    energy = model.tasks[task].energy(cross, predictions[task])
    terms = {
        "energy": config.energy_weight * energy,
        "ccr": config.ccr * F.mse_loss(model.contour(features), batch["contour"]),
    }
    watch = {"tuple_energy": energy.detach()}
    if "seg" in predictions:
        probabilities = predictions["seg"].softmax(1)
        watch["entropy"] = -(probabilities * probabilities.clamp(min=1e-9).log()).sum(1).mean().detach()
        if config.prior:
            terms["prior"] = config.prior * prior_divergence(probabilities, model.spec.class_frequencies)
    return Loss(terms, watch)


def critic_losses(
    model: UMAdapt, batch: Batch, source: Batch, task: str, config: Adapt, nets: nn.ModuleDict, margin: float
) -> Loss:
    """L_D of one task. Algorithm 2, lines 7 and 8.

    OURS: max(0, margin - fake) as in EBGAN instead of the printed "real - fake", which has no lower bound and ruins
    the energy of real tuples; `energy="literal"` gives the printed form.
    """
    kind = model.tasks[task]
    with torch.no_grad():
        predictions = model.decode(model.encoder.branches["target"](batch["res4"]), (task, *model.graph[task]))
        maps = {name: t.prepare(source[name]) for name, t in model.tasks.items() if name in source}
        if config.real_tuples == "pred":  # the hat over Y_s in Algorithm 2
            inputs = encode(model, model(source["image"], "source"), config)
        else:
            inputs = {name: model.tasks[name].encode_truth(maps[name]) for name in model.graph[task]}
        fakes = {name: model.tasks[name].encode(map_) for name, map_ in predictions.items()}
    real = kind.real_energy(model.transfer(task, inputs, nets), maps[task])
    fake = kind.energy(model.transfer(task, fakes, nets), predictions[task])
    terms = {"real": real, "fake": -fake if config.energy == "literal" else F.relu(margin - fake)}
    return Loss(terms, {"real_energy": real.detach(), "fake_energy": fake.detach()})


def encode(model: UMAdapt, predictions: Maps, config: Adapt) -> Maps:
    """Predictions as a transfer net reads them, seg behind the gradient mask."""
    encoded = {name: model.tasks[name].encode(map_) for name, map_ in predictions.items()}
    keep = keep_probability(model.spec.class_frequencies, config.gradient_mask)
    if "seg" in encoded and keep is not None:
        encoded["seg"] = mask_gradient(encoded["seg"], keep)
    return encoded


def prior_divergence(probabilities: Tensor, frequencies: tuple[float, ...]) -> Tensor:
    """KL(mean prediction of the batch || source class frequencies).

    OURS: low energy alone is also had by predicting one class everywhere; this keeps the mix of classes plausible.
    """
    mean = probabilities.mean((0, 2, 3)).clamp(min=1e-9)
    prior = torch.tensor(frequencies).to(mean).clamp(min=1e-4)
    return (mean * (mean / (prior / prior.sum())).log()).sum()


def stage(
    model: UMAdapt,
    config: Adapt,
    photos: Callable[[int], Batch],
    source: Callable[[int], Batch] | None = None,
    margins: dict[str, float] = {},  # noqa: B006 (never written)
) -> Stage:
    """One Adam a task on the target's Res-5; in `adv` also one a transfer net, on a copy of the stage-1 nets.

    Args:
        photos: target batches with "image" and "contour".
        source: source label batches; read by `adv` alone.
        margins: hinge margin of each task, in units of its energy.
    """
    model.freeze(model)
    branch = model.encoder.branches["target"]
    branch.requires_grad_(True)
    if config.bn == "train":
        model.unfreeze(branch)
    parameters = list(branch.parameters())
    graph = [task for task in model.graph if config.method != "noadv-1" or task == "seg"]
    nets, extra = model.transfers, {}
    if config.method == "adv":
        nets = extra["critics"] = copy.deepcopy(model.transfers)  # eval mode, as whenever N serves as an energy
        nets.requires_grad_(True)

    turns = [
        Turn(task, parameters, lambda b, t=task: generator_losses(model, b, t, config, nets), config.lr)
        for task in graph
    ]
    if config.method == "adv":
        turns += [
            Turn(
                f"critic-{task}",
                list(nets[task].parameters()),
                lambda b, t=task: critic_losses(model, b, b["source"], t, config, nets, margins[t]),
                config.critic_lr,
                every=config.critic_every,
            )
            for task in graph
        ]

    def batch(step: int) -> Batch:
        out = photos(step)
        if source is not None and (step + 1) % config.critic_every == 0:
            out["source"] = source(step // config.critic_every)
        return out

    @torch.no_grad()
    def trunk(batch: Batch) -> Batch:
        """The trunk is frozen: its features serve all turns of the step."""
        return {**batch, "res4": model.encoder.trunks["target"](model.normalise(batch["image"]))}

    return Stage("adapt", turns, batch, config.steps, prepare=trunk, extra=extra)
