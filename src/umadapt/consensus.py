"""What the network makes of a photo, of its mirror image, of a larger copy, and of its own maps by the transfer nets,
as one teacher.

OURS; not in the paper. These predictions err in different ways, so all of them merged are better than each. The energy
of Algorithm 2 makes direct and cross-task prediction agree anywhere, also where both are wrong; the consensus says
where. Its votes come from weights that stand still (or follow slowly), so it cannot slide away with what it teaches.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.nets.model import Maps, UMAdapt

ZOOM = 4 / 3  # the larger copy; at 5/3 depth is far off already
ZOOM_SHARE = 0.4  # of the larger copy's vote, beside the picture's own
TRANSFER_SHARE = 0.35  # of the transfer nets' vote; from .25 to .5 it hardly matters (docs/method.md)
LEAST = 1e-6  # a distance below this has no gradient


@torch.no_grad()
def consensus(model: UMAdapt, branch: nn.Module, images: Tensor, witnesses: Collection[str]) -> Maps:
    """The merged predictions of every task.

    Args:
        branch: the Res-5 that predicts.
        images: (B, 3, H, W), in their own colours.
        witnesses: who votes beside the direct prediction: "mirror", mirror images; "zoom", a larger copy; "transfer",
            the transfer nets, which read what the others agree on.
    """

    def look(pictures: Tensor) -> Maps:
        maps = model.decode(branch(model.trunk(pictures, "target")))
        if "mirror" not in witnesses:
            return maps
        mirrored = model.decode(branch(model.trunk(pictures.flip(-1), "target")))
        return merge(model, maps, {name: task.mirror(mirrored[name]) for name, task in model.tasks.items()}, 0.5)

    maps = look(images)
    if "zoom" in witnesses:
        grid = next(iter(maps.values())).shape[-2:]
        larger = [32 * round(ZOOM * side / 32) for side in images.shape[-2:]]  # whole cells of Res-5
        s = math.sqrt(math.prod(larger) / math.prod(images.shape[-2:]))
        found = look(F.interpolate(images, larger, mode="bilinear", align_corners=False))
        votes = {
            name: task.shrink(F.interpolate(found[name], grid, mode="bilinear", antialias=True), s)
            for name, task in model.tasks.items()
        }
        maps = merge(model, maps, votes, ZOOM_SHARE)
    return merge(model, maps, model.cross(maps), TRANSFER_SHARE) if "transfer" in witnesses else maps


def merge(model: UMAdapt, maps: Maps, votes: Maps, share: float) -> Maps:
    """Maps of every task, with a share of the votes where there are any."""
    pair = (1 - share, share)
    return {
        name: model.tasks[name].merge([map_, votes[name]], pair) if name in votes else map_
        for name, map_ in maps.items()
    }


def distance(model: UMAdapt, predictions: Maps, taught: Maps) -> Tensor:
    """How far predictions are from what the teacher says: the mean over tasks of the logarithm of L_t's excess.

    Logarithms, as in the joint form of the base model: a task does not count more for having larger numbers. The
    excess of a cross-entropy is the Kullback-Leibler divergence; the rest of it does not depend on the prediction.
    """
    logs = []
    for name, task in model.tasks.items():
        excess = task.energy(predictions[name], taught[name]) - task.energy(taught[name], taught[name])
        logs.append(excess.clamp(min=LEAST).log())
    return torch.stack(logs).mean()
