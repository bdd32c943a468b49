"""What is learnt from a labelled source and from labelled photos: of which images, and which normals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from umadapt.config import NormalsKind
from umadapt.data.class_map import Names
from umadapt.data.fitted import FittedNormals, fits_normals
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.tasks import label_of


def labelled_source(address: str, tasks: Iterable[str], normals: NormalsKind, class_map: Names | None = None) -> Folder:
    """A labelled source; where a task is made from normals, with its own or those of planes fitted to its depth.

    Raises:
        UserError: as `Folder`, `merge_classes` and `FittedNormals`.
    """
    folder = Folder(address)
    if class_map:
        folder.merge_classes(class_map)
    return FittedNormals(folder) if normals == "plane-fit" and FittedNormals.made in labels_of(tasks) else folder


def labelled_photos(folder: Folder, tasks: Iterable[str], normals: NormalsKind = "exact") -> Folder:
    """Photos with labels of some tasks. Normals are of planes fitted to depth, if such were learnt from the source
    or the photos have none; without depth or camera nothing is fitted."""
    fit = FittedNormals.made in labels_of(tasks) and fits_normals(folder)
    own = FittedNormals.made in folder.tasks and normals == "exact"
    return FittedNormals(folder) if fit and not own else folder


def labels_of(tasks: Iterable[str]) -> tuple[str, ...]:
    """The labels that tasks are made from, each once."""
    return tuple(dict.fromkeys(label_of(task) for task in tasks))


def labelled_ids(folder: Folder, tasks: Iterable[str]) -> tuple[str, ...]:
    """The images that have a label of one of the tasks at least."""
    labels = labels_of(tasks)
    return tuple(i for i in folder.ids if folder.has("image", i) and any(folder.has(label, i) for label in labels))


def target_labels(folder: Folder, address: str, model: UMAdapt) -> tuple[str, ...]:
    """The photos of the target that have a label of the model's tasks.

    Raises:
        UserError: there is none, or the classes are others than the model's.
    """
    ids = labelled_ids(folder, model.tasks)
    if not ids:
        raise UserError(f"{address} has no photo with a label of {', '.join(sorted(labels_of(model.tasks)))}")
    if "seg" in model.tasks and any(folder.has("seg", i) for i in ids) and folder.classes != model.spec.classes:
        raise UserError(f"{address} has other classes than the run was trained on")
    return ids


def evenly(ids: Sequence[str], share: float) -> tuple[str, ...]:
    """A share of the ids, evenly spaced, the first of them always; nothing of nothing."""
    count = min(len(ids), max(1, round(share * len(ids))))
    return tuple(ids[i * len(ids) // count] for i in range(count))


def split_heldout(ids: Sequence[str], share: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(train, held out): the last `share` of the ids. Neighbours often show one room, so they stay together."""
    count = round(len(ids) * share)
    if count == 0:
        return tuple(ids), ()
    return tuple(ids[:-count]), tuple(ids[-count:])


def tuple_tasks(model: UMAdapt) -> tuple[str, ...]:
    """The tasks of a real tuple: what transfer nets read or predict, in the model's order."""
    named = {name for task, inputs in model.graph.items() for name in (task, *inputs)}
    return tuple(task for task in model.tasks if task in named)


def whole_tuples(folder: Folder, ids: Iterable[str], tasks: Iterable[str]) -> tuple[str, ...]:
    """Those of `ids` that have a label of every task: a transfer net that reads a missing map learns from nothing."""
    labels = labels_of(tasks)
    return tuple(i for i in ids if all(folder.has(label, i) for label in labels))


def learnable_tuples(folder: Folder, ids: Iterable[str], tasks: Iterable[str]) -> tuple[str, ...]:
    """The same, to learn from.

    Raises:
        UserError: there is none.
    """
    whole = whole_tuples(folder, ids, tasks)
    if not whole:
        raise UserError(
            f"no image of {folder.root} to train on has labels of {', '.join(labels_of(tasks))} together, and transfer "
            "nets and critics learn from whole tuples"
        )
    return whole
