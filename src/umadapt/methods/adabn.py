"""AdaBN (Li et al., Pattern Recognition 2018): BatchNorm statistics re-estimated on the target photos."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from umadapt.config import Adapt
from umadapt.distributed import global_batch
from umadapt.errors import UserError
from umadapt.methods.method import Method
from umadapt.nets.model import UMAdapt
from umadapt.training.sizes import hollow, trains_alone

BatchNorm = nn.modules.batchnorm._BatchNorm


def refuse(options: Adapt, model: UMAdapt) -> str | None:
    """Why these statistics cannot be adapted."""
    if options.statistics == "source":
        return "adabn with --statistics source changes nothing; give res5 or encoder"
    if not norms_of(model, "source", options.statistics):
        return f"adabn re-estimates BatchNorm statistics, and {model.spec.backbone} has none to re-estimate"
    return None


def variant(options: Adapt) -> str:
    """Statistics of Res-5 alone have a name of their own."""
    return "adabn-res5" if options.statistics == "res5" else "adabn"


METHODS = (Method("adabn", variant=variant, lr=0.0, share=1.0, selects=False, refuse=refuse),)


def norms_of(model: UMAdapt, domain: str, which: str) -> list[BatchNorm]:
    """The BatchNorm layers of a domain's encoder that `which` names, see `reestimate`."""
    parts = {"source": [], "res5": [model.encoder.branches], "encoder": [model.encoder.trunks, model.encoder.branches]}
    return [m for part in parts[which] for m in part[domain].modules() if isinstance(m, BatchNorm)]


@torch.no_grad()
def reestimate(model: UMAdapt, images: Iterable[Tensor], which: str, share: float = 1.0) -> None:
    """Replace the target domain's BatchNorm statistics by averages over `images`, batches of (B, 3, H, W),
    of which each rank has a part, or nothing.

    Args:
        which: "res5" (the target branch alone), "encoder" (its trunk as well) or "source" (none: do nothing).
        share: of the photos in the new statistics; the rest are those from before (You et al., "Test-time batch
            statistics calibration for covariate shift", 2021).

    A batch of one photo that leaves BatchNorm one value a channel, and so no variance, is passed over.

    Raises:
        UserError: there is no other batch.
    """
    norms = norms_of(model, "target", which)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    before = [{name: x.clone() for name, x in norm.named_buffers()} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.training = True
    seen, single = 0, "none"
    hollowed = hollow(model)
    for batch in images:
        with global_batch.shared(len(batch)):
            size = global_batch.rows(len(batch)).total
        if trains_alone(hollowed, (size, *batch.shape[1:]), "target", lambda net, x, domain: net.encode(x, domain)):
            single = "x".join(map(str, batch.shape[2:]))
            continue
        seen += size
        for norm in norms:
            norm.momentum = size / seen  # the running average over all photos so far
        with global_batch.shared(len(batch)):
            model.encode(batch.to(model.mean.device), "target")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.training = False
    if not seen:
        raise UserError(
            f"no two photos are seen at one size: one photo, at {single}, leaves BatchNorm one value a channel and no "
            "variance to estimate; give more photos of one shape, or --statistics source"
        )
    for norm, old in zip(norms, before, strict=True):
        for name, statistic in norm.named_buffers():
            if statistic.is_floating_point():  # not the number of batches
                statistic.lerp_(old[name], 1 - share)
