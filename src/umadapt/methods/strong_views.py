"""Harder views of photos for a student, of tensors: patches hidden, objects of rendered views pasted in, channels of
features missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.distributed import global_batch
from umadapt.nets.encoder import Features
from umadapt.nets.model import Maps
from umadapt.tasks import Task

PATCH = 32  # side in pixels of what is hidden
GREY = 0.5  # what stands in its place
DROPPED = 0.2  # share of a photo's channels that are missing
NOISE = 0.1  # deviation of the noise on the others, in units of their own


def hide(images: Tensor, share: float) -> Tensor:
    """Images (B, 3, H, W) of which every other one, at random, has a share of its patches grey (MIC, Hoyer et al., CVPR
    2023)."""
    if not share:
        return images
    h, w = images.shape[-2:]
    rows, cells = global_batch.rows(len(images)), (math.ceil(h / PATCH), math.ceil(w / PATCH))
    hidden = rows.draw(lambda count: torch.rand(count, 1, *cells)) < share
    hidden &= rows.draw(lambda count: torch.rand(count, 1, 1, 1)) < 0.5
    mask = F.interpolate(hidden.to(images), scale_factor=PATCH, mode="nearest")[..., :h, :w]
    return images.lerp(images.new_full((), GREY), mask)


def disturb(features: Features) -> Features:
    """Features of which a share of the channels of each photo is missing, and the others have noise.

    After UniMatch (Yang et al., CVPR 2023). OURS: the features are the trunk's, of every stride that decoders read, so
    that all tasks see one disturbance, and pixels keep their places.
    """
    return {name: _disturb(x) for name, x in features.items()}


def _disturb(x: Tensor) -> Tensor:
    rows = global_batch.rows(len(x))
    kept = rows.draw(lambda count: F.dropout2d(x.new_ones(count, x.shape[1], 1, 1), DROPPED))
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format  # numbers are drawn in memory's order

    def normal(count: int) -> Tensor:
        return torch.randn_like(torch.empty(count, *x.shape[1:], dtype=x.dtype, device=x.device, memory_format=layout))

    return x * kept + NOISE * global_batch.std(x) * rows.draw(normal)


def paste(
    images: Tensor,
    targets: Maps,
    weights: Maps,
    others: Tensor,
    truths: Mapping[str, Tensor],
    tasks: Mapping[str, Task],
    share: float,
) -> tuple[Tensor, Maps, Maps]:
    """Objects of other images put into a share of the images, and what there is to predict then: targets and weights.
    An object's truth counts in full, and nothing where it has none.

    Of each other image half of the classes, at random (ClassMix, Olsson et al., WACV 2021). OURS: where depth is known
    only what is nearer than what the photo shows there, so that objects hide and are hidden as in one scene.

    Args:
        images: (B, 3, H, W).
        targets: task -> (B, C, h, w), what is predicted of them.
        weights: task -> (B, h, w), what each pixel of that counts.
        others: (B, 3, H, W).
        truths: task -> truth of those on the grid, in the network's units; one of the tasks is of classes.
    """
    rows, name = global_batch.rows(len(images)), next(name for name, task in tasks.items() if task.categorical)
    seg, channels = truths[name], tasks[name].channels
    chosen = rows.draw(lambda count: torch.rand(count, channels)) < 0.5
    chosen &= rows.draw(lambda count: torch.rand(count, 1)) < share
    valid = seg < channels
    ids = seg.where(valid, torch.zeros_like(seg))
    mask = valid & chosen.to(seg.device).gather(1, ids.flatten(1)).view_as(seg)  # (B, h, w)
    for name, task in tasks.items():
        mask = mask & task.in_front(truths[name], targets[name])
    mixed, counted = {}, {}
    for name, task in tasks.items():
        known, there = task.as_prediction(truths[name])
        mixed[name] = known.where((mask & there).unsqueeze(1), targets[name])
        counted[name] = there.to(weights[name]).where(mask, weights[name])
    soft = F.interpolate(mask.unsqueeze(1).to(images), images.shape[-2:], mode="bilinear", align_corners=False)
    return images.lerp(others, soft), mixed, counted
