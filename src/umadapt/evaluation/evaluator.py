"""Ground truth beside predictions under a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from umadapt.config import ModelSpec
from umadapt.data.augment import resize_seg
from umadapt.data.files import hxw, other_size
from umadapt.data.fitted import FittedNormals
from umadapt.data.folder import Folder
from umadapt.data.window import Window
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.premises import Premises
from umadapt.evaluation.protocols import Protocol, clip_depth
from umadapt.tasks import Task, class_task, derive_truth, label_of, make_tasks
from umadapt.tasks.resize import fill, to_map, to_tensor

Maps = dict[str, Tensor]  # task -> map


class Evaluator:
    """Ground truth of a folder beside predictions, one photo at a time, under one protocol.

    Args:
        folder: labelled data.
        protocol: how to measure.
        tasks: tasks of the predictions; those without ground truth are left out.
        classes: class names of the predictions, or None where they name none.
        from_depth: make normals ground truth from depth and camera, also where the folder has its own.
        align: fit each predicted depth to its truth first: "none", "median" or "scale-shift".

    Raises:
        UserError: class lists differ, no task is left, or there is nothing to make normals of.
    """

    def __init__(
        self,
        folder: Folder,
        protocol: Protocol,
        tasks: Sequence[str],
        classes: Sequence[str] | None,
        from_depth: bool = False,
        align: str = "none",
    ):
        self.protocol, self.align = protocol, align
        self.from_depth = from_depth and FittedNormals.made in tasks
        folder = self.folder = FittedNormals(folder) if self.from_depth else folder
        self.tasks = tuple(task for task in tasks if label_of(task) in folder.tasks)
        if not self.tasks:
            have, want = ", ".join(folder.tasks) or "nothing", ", ".join(tasks) or "nothing"
            raise UserError(f"{folder.root} has labels of {have}, the predictions are of {want}: nothing to measure")
        classified = class_task(self.tasks) is not None
        if classified and classes is not None:
            _same_classes(tuple(classes), folder)
        names = tuple(folder.classes or classes or ())
        self.kinds = make_tasks(ModelSpec(tasks=self.tasks, graph={}, classes=names, ignore=folder.ignore))
        self.classes = names
        self.never = protocol.unseen(names) if classified else ()
        counting = protocol.counting(names if classified else ())
        self.meters = {task: kind.meter(counting) for task, kind in self.kinds.items()}
        self.count = 0
        self.premises = Premises()

    def read(self, id: str, photo: tuple[int, int] | None = None) -> Maps:
        """Ground truth of one photo: depth (H, W) metres, normals (3, H, W), seg (H, W) ids, edges (H, W).

        Called by the reader's threads. Raises UserError when the size is not the protocol's, or not that of the photo
        where it is given.
        """
        truth: Maps = {}
        labels: dict[str, np.ndarray | None] = {}
        for task, kind in self.kinds.items():
            if kind.label not in labels:
                labels[kind.label] = self.folder.read_label(kind.label, id)
            label = labels[kind.label]
            if label is None:
                continue
            if photo not in (None, label.shape[:2]):
                path = self.folder.label_path(kind.label, id)
                shown = self.folder.image_path(id)
                raise UserError(f"{path}: {other_size(label.shape, photo)} as {shown}")
            if self.protocol.size not in (None, label.shape[:2]):
                raise UserError(
                    f"protocol {self.protocol.name} measures {task} at {self.protocol.size[0]}x"
                    f"{self.protocol.size[1]}, but {id!r} of {self.folder.root} is {hxw(label)}. "
                    "Use --protocol raw for data of other sizes"
                )
            truth[task] = derive_truth(task, to_tensor(label))
        return truth

    def update(self, id: str, prediction: Maps, truth: Maps, window: Window | None = None) -> None:
        """Add one photo: predictions (C, h, w) in physical units (seg also labels (h, w)) and what `read` gave.

        `window` is the part of the photo that they are of; default: all of it.

        Raises UserError naming the photo when a prediction is not finite.
        """
        for task, wanted in truth.items():
            found = prediction[task]
            if found.is_floating_point() and not bool(torch.isfinite(found).all()):
                raise UserError(
                    f"the prediction of {task} for {id!r} holds NaN or infinity. The training probably diverged: "
                    "look at metrics.jsonl, and train again with a smaller --lr"
                )
            self.meters[task].update(*self.compare(task, found, wanted, window))
        self.count += 1

    def compare(self, task: str, found: Tensor, truth: Tensor, window: Window | None = None) -> tuple[Tensor, Tensor]:
        """A prediction (C, h, w), or labels (h, w), and its truth as the protocol compares them: of one size, cropped,
        what is not measured missing in the truth, depth aligned and clipped."""
        kind, size = self.kinds[task], (truth.shape[-2], truth.shape[-1])
        seen = size if window is None else window.size
        resized = kind.resize(found, seen, self.never) if found.is_floating_point() else None
        resized = fill(resize_seg(found, seen) if resized is None else resized, window, size)
        if kind.metric:
            self.premises.see(resized, truth.to(resized.device))
        top, bottom, left, right = self.protocol.window(size)
        resized, truth = (x[..., top:bottom, left:right] for x in (resized, truth))
        truth = truth.to(resized.device)
        if kind.metric:
            truth = self.protocol.masked_depth(truth)
            resized = clip_depth(self.protocol, resized, truth, self.align)
        if kind.categorical:
            truth = self.protocol.masked_seg(truth, self.classes, self.folder.ignore)
        return resized, truth

    def _merge(self) -> None:
        """Add what the other ranks have measured."""
        for rank, (meters, count, premises) in enumerate(
            process_group.gather((self.meters, self.count, self.premises))
        ):
            if rank != process_group.rank():
                self.premises.merge(premises)
                self.count += count
                for task, meter in meters.items():
                    self.meters[task].merge(meter)

    def result(self) -> dict[str, Any]:
        """The evaluation JSON, of the photos of all ranks: protocol, n, and the figures of each task that has truth.
        Raises UserError when no valid pixel was seen."""
        self._merge()
        figures = {task: meter.compute() for task, meter in self.meters.items()}
        measured = {task: found for task, found in figures.items() if found}
        if not measured:
            raise UserError(f"no valid pixel of ground truth in {self.folder.root} under {self.protocol.name}")
        result: dict[str, Any] = {"protocol": self.protocol.name, "n": self.count} | measured
        if self.from_depth and FittedNormals.made in measured:
            result["normals_from"] = "depth"
        if self.align != "none":
            result["align"] = self.align
        max_m = self.folder.depth_max_m if self.folder.max_m_stated else None
        metric = any(self.kinds[task].metric for task in measured)
        failed = list(self.premises.failed(self.protocol, self.align, max_m)) if metric else []
        if failed:
            result["premises"] = failed
        return result


def read_truth(folder: Folder, task: Task, id: str) -> np.ndarray | None:
    """The truth of one photo as a map, made from the label of another task where need be; None when that is absent."""
    label = folder.read_label(task.label, id)
    if label is None or task.label == task.name:
        return label
    return to_map(derive_truth(task.name, to_tensor(label)))


def _same_classes(classes: tuple[str, ...], folder: Folder) -> None:
    if classes == folder.classes:
        return
    where = f"{folder.root / 'dataset.json'} lists {len(folder.classes)} classes, the predictions {len(classes)}"
    pairs = enumerate(zip(classes, folder.classes, strict=False))
    differing = [
        f"id {i} is {theirs!r} in the data and {ours!r} in the predictions"
        for i, (ours, theirs) in pairs
        if ours != theirs
    ]
    detail = f" ({differing[0]})" if differing else ""
    raise UserError(f"{where}{detail}. They must be the same names in the same order; map the labels of one of them")
