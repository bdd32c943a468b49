"""The image-free prior: one map a task for all photos, what a network that never looks at its photo can come to."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from umadapt.config import ModelSpec
from umadapt.data.augment import LABELS
from umadapt.data.fitted import FittedNormals, fits_normals
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluator import Maps
from umadapt.evaluation.protocols import Protocol
from umadapt.inference.photos import read_ahead
from umadapt.tasks import TASKS, Task, class_task, derive_truth, label_of, make_tasks
from umadapt.tasks.resize import to_tensor

MOST = 200  # label maps of a task that its constant map is made of


def prior_maps(folder: Folder, protocol: Protocol, normals_from_depth: bool = False) -> Maps:
    """The constant map of each task (`Task.constant`) from up to MOST label maps, spread evenly; photos are not read.

    Args:
        folder: labelled data.
        protocol: whose size the maps have (without one: the first label map's); depth beyond its range is left out.
        normals_from_depth: make normals from depth and camera, also where the folder has its own.

    Returns:
        task -> prediction in physical units (C, h, w), of the tasks that there are labels of.

    Raises:
        UserError: there are none, or those of seg have no names.
    """
    fit = normals_from_depth and fits_normals(folder)
    folder = FittedNormals(folder) if fit else folder
    left_out = (FittedNormals.made,) if normals_from_depth and not fit else ()
    tasks = tuple(task for task in TASKS if label_of(task) in folder.tasks and task not in left_out)
    if not tasks:
        raise UserError(f"{folder.root} has no labels to make a prior of; give labelled data, DATA or DATA:SPLIT")
    if class_task(tasks) and not folder.classes:
        raise UserError(f"{folder.root / 'dataset.json'} names no classes; add them under tasks, seg, classes")
    kinds = make_tasks(ModelSpec(tasks=tasks, graph={}, classes=folder.classes, ignore=folder.ignore))
    return {name: task.constant(_truths(folder, task, protocol)) for name, task in kinds.items()}


def _truths(folder: Folder, task: Task, protocol: Protocol) -> Iterator[Tensor]:
    """Truth of one task, all of one size: depth (h, w), normals (3, h, w), seg (h, w), edges (h, w)."""
    there, size = [id for id in folder.ids if folder.has(task.label, id)], protocol.size
    count = min(MOST, len(there))
    ids = [there[i * len(there) // count] for i in range(count)]
    for _, label in read_ahead(lambda id: folder.read_label(task.label, id), ids):
        assert label is not None
        whole = to_tensor(label)
        whole = protocol.masked_depth(whole) if task.metric else whole
        size = size or (whole.shape[-2], whole.shape[-1])
        kind = LABELS[task.label]
        resized = kind.resize(whole.reshape(*kind.channels, *whole.shape[-2:]), size)
        yield derive_truth(task.name, resized.reshape(*whole.shape[:-2], *size))
