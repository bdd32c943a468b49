"""What several stages share of the cross-task graph: its supervised loss, and how predictions are read."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.nets.encoder import Features
from umadapt.nets.gradient_mask import keep_probability, mask_gradient
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.stage import Loss


def distillation(model: UMAdapt, features: Features, batch: Batch, task: str, alpha: float) -> Loss:
    """L_dist of one task: L_t(Y^, Y) + alpha L_t(N->t(O^), Y). Algorithm 1, line 3.

    A task without a transfer net (normals indoors) has the direct term alone, and so has every task at alpha = 0.

    OURS: a loss of exactly 0 says that no image of the batch has a label of this task; then there is nothing to learn,
    and no step is taken, because Adam would go on by its momentum.

    Args:
        features: of the batch's images.
    """
    inputs = model.graph.get(task, ()) if alpha else ()
    predictions = model.decode(features, (task, *inputs))
    kind = model.tasks[task]
    target = kind.prepare(batch.truths[task])
    terms = {"direct": kind.loss(predictions[task], target)}
    if not terms["direct"].item():
        return Loss({})
    if inputs:
        encoded = {name: model.tasks[name].encode(predictions[name]) for name in inputs}
        terms["distil"] = alpha * kind.loss(model.transfer(task, encoded), target)
    return Loss(terms)


def truth_of(model: UMAdapt, batch: Batch) -> Maps:
    """A batch's truths in network units."""
    return {name: task.prepare(batch.truths[name]) for name, task in model.tasks.items() if name in batch.truths}


def add_trunk_features(model: UMAdapt, batch: Batch) -> Batch:
    """The batch with what the target's frozen trunk makes of its photos; as it is where it has that, or where the trunk
    is trained."""
    if batch.trunk or trains_trunk(model):
        return batch
    with torch.no_grad():
        trunk = model.trunk(batch.images, "target")
    return dataclasses.replace(batch, trunk=trunk)


def trains_trunk(model: UMAdapt) -> bool:
    """Whether the trunk of the target is trained, so that nothing of it can be kept."""
    return any(parameter.requires_grad for parameter in model.encoder.trunks["target"].parameters())


def trunk_of(model: UMAdapt, batch: Batch) -> Features:
    """What the target's trunk makes of the batch's photos, computed where it is not there yet."""
    return batch.trunk or model.trunk(batch.images, "target")


def target_features(model: UMAdapt, batch: Batch) -> Features:
    """What the target's encoder makes of the batch's photos."""
    return model.encoder.branches["target"](trunk_of(model, batch))


def content_loss(model: UMAdapt, res5: Tensor, contour: Tensor) -> Tensor:
    """L_CCR: the squared error of what the contour decoder makes of Res-5c features (Section 3.2).

    Its map has 16 cells to one of Res-5's. Where the decoders' grid has fewer, as skip's at sizes that are no multiples
    of 32, it is resized to that, as truth is where it has more.

    Args:
        contour: (B, 1, h, w) on the decoders' grid.
    """
    found = model.contour(res5)
    if found.shape[-2:] != contour.shape[-2:]:
        found = F.interpolate(found, contour.shape[-2:], mode="bilinear", align_corners=False)
    return global_batch.mean(F.mse_loss(found, contour))


def encode(model: UMAdapt, predictions: Maps, mask: str) -> Maps:
    """Predictions as a transfer net or a critic reads them, classes behind the gradient mask (supplement).

    Args:
        mask: "class", "uniform" or "off", see `keep_probability`.
    """
    encoded = {name: model.tasks[name].encode(map_) for name, map_ in predictions.items()}
    keep = keep_probability(model.spec.class_frequencies, mask)
    if model.class_task in encoded and keep is not None:
        encoded[model.class_task] = mask_gradient(encoded[model.class_task], keep)
    return encoded
