"""UM-Adapt-B: one critic of latent features and all task maps, WGAN-GP (Section 3.3.1, Supp. Table 1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
from umadapt.nets.blocks import wide
from umadapt.nets.encoder import Features
from umadapt.nets.feature_decoder import FeatureDecoder
from umadapt.nets.joint_critic import LATENT, JointCritic, Tuples, gradient_penalty
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Stage, Turn

BETAS = (0.0, 0.9)  # of Adam, as Gulrajani et al. train
FEATURES_LR = 1e-3  # of the FCF decoder


def generator_losses(model: UMAdapt, batch: Batch, config: Adapt, critic: JointCritic, extra: nn.ModuleDict) -> Loss:
    """M_t makes tuples that the critic takes for real; CCR or FCF keeps the content."""
    features = target_features(model, batch)
    predictions = model.decode(features)
    fakes = {LATENT: wide(features["res5"]), **encode(model, predictions, config.gradient_mask)}
    score = global_batch.mean(critic(fakes).mean())
    terms = {"critic": -config.joint_weight * score}
    if config.method == "b-fcf":
        terms["fcf"] = config.fcf * reconstruction(extra["features"], features)
    else:
        terms["ccr"] = config.ccr * content_loss(model, features["res5"], batch.contours)
    return Loss(terms)


def critic_losses(model: UMAdapt, batch: Batch, config: Adapt, critic: JointCritic) -> Loss:
    """E[D(fake)] - E[D(real)] + gp * penalty (Gulrajani et al., NIPS 2017, Algorithm 1)."""
    with torch.no_grad():
        features = target_features(model, batch)
        fakes = {LATENT: wide(features["res5"]), **encode(model, model.decode(features), config.gradient_mask)}
        assert batch.source is not None
        reals = real_tuples(model, batch.source)
    gap = global_batch.mean(critic(reals).mean() - critic(fakes).mean())
    latent = features["res5"]
    epsilon = global_batch.rows(len(latent)).draw(torch.rand)
    with torch.autocast(latent.device.type, enabled=False):  # OURS: the penalty is differentiated twice, in float32
        penalty = global_batch.mean(gradient_penalty(critic, reals, fakes, epsilon.to(wide(latent))))
    return Loss({"gap": -gap, "penalty": config.gp * penalty}, {"score_gap": gap.detach()})


def feature_losses(model: UMAdapt, batch: Batch, decoder: nn.Module) -> Loss:
    """The FCF decoder follows Res-5: it "is itself updated" during adaptation, on features that stand still."""
    with torch.no_grad():
        features = target_features(model, batch)
    return Loss({"reconstruction": reconstruction(decoder, features)})


def real_tuples(model: UMAdapt, source: Batch) -> Tuples:
    """(M_s(x_s), ground truth maps); half of the label maps as pseudo-softmax."""
    maps = {name: model.tasks[name].encode_truth(truth) for name, truth in truth_of(model, source).items()}
    return {LATENT: wide(model.encode(source.images, "source")["res5"]), **maps}


def reconstruction(decoder: nn.Module, features: Features) -> Tensor:
    """Feature consistency (FCF, after AdaDepth, approximate): squared error of Res-4f features made from Res-5c.

    OURS: in units of the features' mean square, so that its weight means the same for every backbone.
    """
    res4 = wide(features["res4"])
    made = decoder(features["res5"], tuple(res4.shape[-2:]))
    return global_batch.mean(F.mse_loss(made, res4)) / global_batch.mean(res4.square().mean()).clamp(min=1e-12)


def stage(model: UMAdapt, config: Adapt, batches: Callable[[int], Batch], given: Given = NOTHING) -> Stage[Batch]:
    """A critic update a step (and one of the FCF decoder), and one of Res-5 after each `joint_steps` of them.

    The loop's steps, in which logs and checkpoints count, are those of the critic.

    Args:
        batches: photos, for CCR with contours; beside them source images with labels of all tasks.
    """
    parameters = model.adaptable(config.bn, config.trains)
    kinds = model.tasks.items()
    groups = [{name: task.channels for name, task in kinds if task.categorical == classes} for classes in (False, True)]
    critic = JointCritic(model.encoder.channels["res5"], [g for g in groups if g], model.spec.transfer_width)
    extra = nn.ModuleDict({"critic": critic})
    if config.method == "b-fcf":
        c = model.encoder.channels
        extra["features"] = FeatureDecoder(c["res5"], c["res4"], model.spec.width)
    extra.to(model.mean.device).to(memory_format=torch.channels_last)

    frozen = partial(add_trunk_features, model)
    turns = [
        Turn[Batch](
            "critic",
            list(critic.parameters()),
            lambda b: critic_losses(model, b, config, critic),
            config.joint_lr,
            betas=BETAS,
            option="--joint-lr",
        ),
        Turn[Batch](
            "joint",
            parameters,
            lambda b: generator_losses(model, b, config, critic, extra),
            config.lr,
            every=config.joint_steps,
            option="--lr or --joint-lr",
        ),
    ]
    if "features" in extra:  # it starts from random weights, so it learns ahead of what it is to guide
        learn = lambda b: feature_losses(model, b, extra["features"])  # noqa: E731
        turns.insert(0, Turn("features", list(extra["features"].parameters()), learn, FEATURES_LR))
    steps = config.steps * config.joint_steps
    still = None if trains_trunk(model) else frozen
    return Stage("adapt", turns, batches, steps, prepare=frozen, frozen=still, extra=dict(extra.items()))


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why FCF has nothing that stands still to make again."""
    if options.method == "b-fcf" and options.trains != "res5":
        return "b-fcf makes features of Res-4 again, which must stand still; leave --adapt res5"
    return None


METHODS = (
    Method("b-ccr", stage, lr=3e-5, source="images", contours=True, refuse=refuse),
    Method("b-fcf", stage, lr=3e-5, source="images", refuse=refuse),
)
