"""What the network makes of a photo, of its mirror image, of a larger copy, and of its own maps by the transfer nets,
as one teacher.

OURS; not in the paper. These predictions err in different ways, so all of them merged are better than each. The energy
of Algorithm 2 makes direct and cross-task prediction agree anywhere, also where both are wrong; the consensus says
where. Its votes come from weights that stand still (or follow slowly), so it cannot slide away with what it teaches.
What a member of this ensemble is worth differs with the data (a transfer net may be the best or the worst judge of
depth), so the shares of larger copy and transfer nets are measured on labelled images that training did not see
(`weigh`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.data.batch import Batch
from umadapt.errors import UserError
from umadapt.nets.encoder import Features
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import excess

See = Callable[[Tensor], Features]  # images (B, 3, H, W) to what decoders read
Shares = dict[str, dict[str, float]]  # member -> task -> its share of the merged prediction

ZOOM = 4 / 3  # the larger copy; at 5/3 depth is far off already
TRIED = tuple(k / 20 for k in range(13))  # shares that are tried, up to .6
UNKNOWN = {"mirror": 0.5, "zoom": 0.3, "transfer": 0.2}  # shares of members that were not measured
LEAST = 1e-6  # a distance below this has no gradient


def shares_of(measured: Shares | None, tasks: Collection[str], members: Collection[str]) -> Shares:
    """The shares of these members, as training has `measured` them for a run.

    Raises:
        UserError: there is no such member.
    """
    for member in members:
        if member not in UNKNOWN:
            raise UserError(f"no witness {member!r}; there are {', '.join(UNKNOWN)}")
    known = measured or {}
    return {member: known.get(member) or dict.fromkeys(tasks, UNKNOWN[member]) for member in members}


@torch.no_grad()
def consensus(model: UMAdapt, see: See, images: Tensor, shares: Shares, direct: Maps | None = None) -> Maps:
    """The merged predictions of every task.

    Args:
        see: the encoder.
        images: (B, 3, H, W), in their own colours.
        shares: of the members that vote beside the direct prediction: "mirror", mirror images; "zoom", a larger
            copy; "transfer", the transfer nets, which read what the others agree on.
        direct: the predictions of the images themselves, where the caller has them.
    """
    maps = look(model, see, images, shares, direct)
    for member in ("zoom", "transfer"):
        if member in shares:
            maps = merge(model, maps, ask(member, model, see, images, maps, shares), shares[member])
    return maps


def look(model: UMAdapt, see: See, images: Tensor, shares: Shares, direct: Maps | None = None) -> Maps:
    """Direct predictions, with those of the mirror images where these vote."""
    maps = model.decode(see(images)) if direct is None else direct
    if "mirror" not in shares:
        return maps
    mirrored = model.decode(see(images.flip(-1)))
    return merge(model, maps, {name: t.mirror(mirrored[name]) for name, t in model.tasks.items()}, shares["mirror"])


def ask(member: str, model: UMAdapt, see: See, images: Tensor, maps: Maps, shares: Shares) -> Maps:
    """What a member says, "zoom" or "transfer", where the others have agreed on `maps`."""
    if member == "transfer":
        return model.cross(maps)
    grid = next(iter(maps.values())).shape[-2:]
    larger = [32 * round(ZOOM * side / 32) for side in images.shape[-2:]]  # whole cells of Res-5
    s = math.sqrt(math.prod(larger) / math.prod(images.shape[-2:]))
    found = look(model, see, F.interpolate(images, larger, mode="bilinear", align_corners=False), shares)
    return {
        name: task.shrink(F.interpolate(found[name], grid, mode="bilinear", antialias=True), s)
        for name, task in model.tasks.items()
    }


def merge(model: UMAdapt, maps: Maps, votes: Maps, shares: Mapping[str, float]) -> Maps:
    """Maps of every task, with the votes where there are any."""
    return {
        name: model.tasks[name].merge([map_, votes[name]], (1 - shares[name], shares[name]))
        if name in votes and name in shares
        else map_
        for name, map_ in maps.items()
    }


@torch.no_grad()
def weigh(model: UMAdapt, batches: Callable[[int], Batch], count: int) -> Shares:
    """The share at which each member lowers a task's loss the most, one member after the other.

    Args:
        batches: of labelled images of the source, augmented, that training has not seen.
        count: how many batches to take.
    """

    def see(images: Tensor) -> Features:
        return model.encode(images, "source")

    shares: Shares = {"mirror": dict.fromkeys(model.tasks, UNKNOWN["mirror"])}
    for member in ("zoom", "transfer"):
        losses = {task: torch.zeros(len(TRIED)) for task in (model.tasks if member == "zoom" else model.graph)}
        for batch in map(batches, range(count)):
            maps = consensus(model, see, batch.images, shares)
            votes = ask(member, model, see, batch.images, maps, shares)
            for name, sums in losses.items():
                task = model.tasks[name]
                truth = task.prepare(batch.truths[name])
                merged = (task.merge([maps[name], votes[name]], (1 - share, share)) for share in TRIED)
                sums += torch.stack([task.loss(map_, truth).cpu() for map_ in merged])
        shares[member] = {name: TRIED[int(sums.argmin())] for name, sums in losses.items()}
    return shares


def excesses(model: UMAdapt, predictions: Maps, targets: Maps) -> Maps:
    """L_t's excess of every task's prediction over what the teacher says."""
    return {name: excess(task, predictions[name], targets[name]) for name, task in model.tasks.items()}
