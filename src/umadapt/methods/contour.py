"""Stage 3: the contour decoder on frozen M_s features (Section 3.2); frozen for good afterwards."""

from __future__ import annotations

from typing import Any

import torch

from umadapt.methods.cross_task import content_loss
from umadapt.nets.model import UMAdapt
from umadapt.training.trainer import Batch, Loss, Stage, Turn


def losses(model: UMAdapt, batch: Batch) -> Loss:
    """L_CCR(Y^_con, GT_con), mean squared error."""
    return Loss({"ccr": content_loss(model, batch["res5"], batch["contour"])})


def stage(model: UMAdapt, batch: Any, steps: int, lr: float) -> Stage:
    model.freeze(model)
    model.unfreeze(model.contour)

    @torch.no_grad()
    def encode(batch: Batch) -> Batch:
        return {**batch, "res5": model.encode(batch["image"], "source")["res5"]}

    turn = Turn("contour", list(model.contour.parameters()), lambda b: losses(model, b), lr, option="--contour-lr")
    return Stage("contour", [turn], batch, steps, prepare=encode)
