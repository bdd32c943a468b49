"""Adversarial adaptation of the outputs (AdaptSegNet, Tsai et al., CVPR 2018), with a critic for every task, a peer.

OURS: the source side is what M_s predicts of source images, and M_s is frozen, because in our box the target has a
Res-5 of its own and only that is trained; AdaptSegNet trains one network for both domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from umadapt.config import Adapt
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import add_trunk_features, target_features, trains_trunk
from umadapt.methods.method import NOTHING, Given, Method, no_tasks
from umadapt.nets import output_critic
from umadapt.nets.model import Maps, UMAdapt
from umadapt.nets.output_critic import OutputCritic
from umadapt.training.stage import Loss, Prepared, Stage, Turn

BETAS = (0.9, 0.99)  # of the critics' Adam, as AdaptSegNet trains
HIDDEN = 64  # channels of a critic's first layer at width 1


@dataclass(frozen=True, eq=False)
class Judged(Prepared):
    """A batch of photos, and what M_s predicts of the source images beside them, encoded."""

    reals: Maps


def encode(model: UMAdapt, predictions: Maps) -> Maps:
    """Depth / scale, unit normals, class probabilities."""
    return {name: model.tasks[name].encode(map_) for name, map_ in predictions.items()}


def generator_losses(model: UMAdapt, batch: Batch, critics: nn.ModuleDict, weight: float) -> Loss:
    """L_adv of every task: the target's outputs are to be taken for the source's (Equation 4)."""
    maps = encode(model, model.decode(target_features(model, batch)))
    return Loss(
        {name: weight * global_batch.mean(F.softplus(-critics[name](map_)).mean()) for name, map_ in maps.items()}
    )


def critic_losses(model: UMAdapt, step: Judged, critics: nn.ModuleDict) -> Loss:
    """L_d of every task: cross-entropy of source against target (Equation 2), one half each."""
    with torch.no_grad():
        fakes = encode(model, model.decode(target_features(model, step.batch)))
    terms, watch = {}, {}
    for name, fake in fakes.items():
        on_real, on_fake = critics[name](step.reals[name]), critics[name](fake)
        terms[name] = global_batch.mean(F.softplus(-on_real).mean() + F.softplus(on_fake).mean()) / 2
        watch[f"{name}_gap"] = global_batch.mean(on_real.mean() - on_fake.mean()).detach()
    return Loss(terms, watch)


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch], given: Given = NOTHING) -> Stage[Judged]:
    """One Adam on the target's Res-5 and one on all critics, in turns.

    Args:
        batches: photos, and source images beside them.
    """
    parameters = model.adaptable(config.bn, config.trains)
    hidden = max(8, round(HIDDEN * model.spec.width))
    critics = nn.ModuleDict({name: OutputCritic(task.channels, hidden) for name, task in model.tasks.items()})
    critics.to(model.mean.device).to(memory_format=torch.channels_last)

    frozen = partial(add_trunk_features, model)

    @torch.no_grad()
    def prepare(batch: Batch) -> Judged:
        """What is frozen, once for both turns: the trunk of the photos, the outputs of the source."""
        assert batch.source is not None
        reals = encode(model, model(batch.source.images, "source"))
        return Judged(frozen(batch), reals)

    fool = Turn[Judged](
        "outputs",
        parameters,
        lambda step: generator_losses(model, step.batch, critics, config.output_weight),
        config.lr,
        option="--lr or --output-lr",
    )
    tell = Turn[Judged](
        "critics",
        list(critics.parameters()),
        lambda step: critic_losses(model, step, critics),
        config.output_lr,
        betas=BETAS,
        option="--output-lr",
    )
    extra: dict[str, nn.Module] = {"critics": critics}
    still = None if trains_trunk(model) else frozen
    return Stage("adapt", [fool, tell], batches, config.steps, prepare=prepare, frozen=still, extra=extra)


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why its critics cannot judge the maps."""
    height, width = model.grid(model.spec.size)
    if min(height, width) >= output_critic.SMALLEST:
        return None
    return (
        f"output-adv judges maps of at least {output_critic.SMALLEST} cells a side, those of the run have "
        f"{height}x{width}; train at a larger --size"
    )


METHODS = (Method("output-adv", stage, lr=1e-5, source="images", source_tasks=no_tasks, refuse=refuse),)
