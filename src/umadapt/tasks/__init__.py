"""The tasks, made from a ModelSpec."""

from collections.abc import Iterable

from torch import Tensor

from umadapt.config import ModelSpec
from umadapt.tasks.base import Task
from umadapt.tasks.depth import Depth
from umadapt.tasks.edges import Edges
from umadapt.tasks.normals import Normals
from umadapt.tasks.seg import MergedSeg, Seg

__all__ = [
    "TASKS",
    "Depth",
    "Edges",
    "MergedSeg",
    "Normals",
    "Seg",
    "Task",
    "class_task",
    "derive_truth",
    "label_of",
    "make_tasks",
]

TASKS: dict[str, type[Task]] = {"depth": Depth, "normals": Normals, "seg": Seg, "edges": Edges}


def make_tasks(spec: ModelSpec) -> dict[str, Task]:
    """The tasks of a model, in its order.

    Raises:
        ValueError: a name is no task.
    """
    unknown = [name for name in spec.tasks if name not in TASKS]
    if unknown:
        raise ValueError(f"unknown task {', '.join(unknown)}; there are {', '.join(TASKS)}")
    return {name: TASKS[name].from_spec(spec) for name in spec.tasks}


def label_of(task: str) -> str:
    """The folder of DATA that a task's ground truth comes from; a name that is no task stands for itself."""
    return TASKS[task].label if task in TASKS else task


def derive_truth(task: str, label: Tensor) -> Tensor:
    """Truth of a task, in the reader's units, from the label that it is made of. Both have a channel axis, the first,
    only where there are several: depth (H, W), normals (3, H, W), ids (H, W).

    Raises:
        TypeError: the task made something of another shape.
    """
    kind = TASKS[task]
    truth = kind.derive(label)
    size = tuple(label.shape[-2:])
    wanted = size if kind.categorical or kind.channels == 1 else (kind.channels, *size)
    if truth.shape != wanted:
        raise TypeError(f"{kind.__name__}.derive made {tuple(truth.shape)} of a label; {task} is {wanted}")
    return truth


def class_task(tasks: Iterable[str]) -> str | None:
    """The one of these tasks that predicts classes; None where there is none."""
    return next((task for task in tasks if task in TASKS and TASKS[task].categorical), None)
