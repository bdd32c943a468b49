"""Stage 3: the contour decoder on frozen M_s features (Section 3.2); frozen for good afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from umadapt.data.batch import Batch
from umadapt.methods.cross_task import content_loss
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Prepared, Stage, Turn


@dataclass(frozen=True, eq=False)
class Encoded(Prepared):
    """A batch with contours, and what M_s makes of its images."""

    res5: Tensor


def losses(model: UMAdapt, batch: Encoded) -> Loss:
    """L_CCR(Y^_con, GT_con), mean squared error."""
    return Loss({"ccr": content_loss(model, batch.res5, batch.batch.contours)})


def stage(model: UMAdapt, batches: Callable[[int], Batch], steps: int, lr: float) -> Stage[Encoded]:
    model.freeze(model)
    model.unfreeze(model.contour)

    @torch.no_grad()
    def encode(batch: Batch) -> Encoded:
        return Encoded(batch, model.encode(batch.images, "source")["res5"])

    turn = Turn[Encoded](
        "contour", list(model.contour.parameters()), lambda b: losses(model, b), lr, option="--contour-lr"
    )
    return Stage("contour", [turn], batches, steps, prepare=encode)
