"""Stage 1: train each transfer net N->t on source label maps alone (Section 3.1.1), then freeze it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch

from umadapt.data.batch import Batch
from umadapt.distributed import global_batch
from umadapt.methods.cross_task import truth_of
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Loss, Stage, Turn


def losses(model: UMAdapt, batch: Batch, task: str) -> Loss:
    """L_t(N->t(O_s), Y_s) on ground truth."""
    maps = truth_of(model, batch)
    inputs = {name: model.tasks[name].encode_truth(maps[name]) for name in model.graph[task]}
    return Loss({"transfer": model.tasks[task].loss(model.transfer(task, inputs), maps[task])})


def stage(model: UMAdapt, batches: Callable[[int], Batch], steps: int, lr: float) -> Stage[Batch]:
    """One Adam a net; geometry learns nothing."""
    model.freeze(model)
    model.unfreeze(model.transfers)
    turns = [
        Turn[Batch](task, list(model.transfers[task].parameters()), lambda b, t=task: losses(model, b, t), lr)
        for task in model.learnt_transfers
    ]
    return Stage("transfer", turns, batches, steps)


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
        maps = truth_of(model, batch)
        inputs = {name: model.tasks[name].encode_truth(map_, soften=False) for name, map_ in maps.items()}
        with global_batch.shared(len(batch)) if shared else nullcontext():
            size = global_batch.rows(len(batch)).total
            for task in model.graph:
                prediction = model.transfer(task, inputs)
                figures = model.tasks[task].accuracy(prediction, maps[task])
                figures["energy"] = float(model.tasks[task].real_energy(prediction, maps[task]))
                for name, value in figures.items():
                    sums[task][name] = sums[task].get(name, 0.0) + value * size
        count += size
    return {task: {name: value / count for name, value in figures.items()} for task, figures in sums.items()}
