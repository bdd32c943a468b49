"""Stage 1: train each transfer net N->t on source label maps alone (Section 3.1.1), then freeze it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch

from umadapt.distributed import global_batch
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.trainer import Batch, Loss, Stage, Turn


def truth(model: UMAdapt, batch: Batch) -> Maps:
    """A batch's labels in network units."""
    return {name: task.prepare(batch[name]) for name, task in model.tasks.items() if name in batch}


def losses(model: UMAdapt, batch: Batch, task: str) -> Loss:
    """L_t(N->t(O_s), Y_s) on ground truth."""
    maps = truth(model, batch)
    inputs = {name: model.tasks[name].encode_truth(maps[name]) for name in model.graph[task]}
    return Loss({"transfer": model.tasks[task].loss(model.transfer(task, inputs), maps[task])})


def stage(model: UMAdapt, batch: Any, steps: int, lr: float) -> Stage:
    """One Adam a net."""
    model.freeze(model)
    model.unfreeze(model.transfers)
    turns = [
        Turn(task, list(model.transfers[task].parameters()), lambda b, t=task: losses(model, b, t), lr)
        for task in model.graph
    ]
    return Stage("transfer", turns, batch, steps)


@torch.no_grad()
def measure(model: UMAdapt, batches: Iterable[Batch], *, shared: bool = False) -> dict[str, dict[str, float]]:
    """Energy and accuracy of the frozen nets on real tuples: task -> {"energy": ..., "rel" or "pacc": ...}.

    A transfer net is only worth its training, so every run states this of its source and of held-out source.

    Args:
        shared: the batches are this rank's parts of batches of all ranks, and so are the figures.
    """
    model.eval()
    sums: dict[str, dict[str, float]] = {task: {} for task in model.graph}
    count = 0
    for batch in batches:
        maps = truth(model, batch)
        inputs = {name: model.tasks[name].encode_truth(map_, soften=False) for name, map_ in maps.items()}
        with global_batch.shared(len(batch["ids"])) if shared else nullcontext():
            size = global_batch.rows(len(batch["ids"])).total
            for task in model.graph:
                prediction = model.transfer(task, inputs)
                figures = model.tasks[task].accuracy(prediction, maps[task])
                figures["energy"] = float(model.tasks[task].real_energy(prediction, maps[task]))
                for name, value in figures.items():
                    sums[task][name] = sums[task].get(name, 0.0) + value * size
        count += size
    return {task: {name: value / count for name, value in figures.items()} for task, figures in sums.items()}
