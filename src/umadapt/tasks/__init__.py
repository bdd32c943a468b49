"""The tasks, made from a ModelSpec."""

from umadapt.config import ModelSpec
from umadapt.tasks.base import Task
from umadapt.tasks.depth import Depth
from umadapt.tasks.normals import Normals
from umadapt.tasks.seg import Seg, class_weights

__all__ = ["Depth", "Normals", "Seg", "Task", "make_tasks"]


def make_tasks(spec: ModelSpec) -> dict[str, Task]:
    """The tasks of a model, in its order.

    Raises:
        ValueError: a name is no task.
    """
    makers = {
        "depth": lambda: Depth(spec.depth_scale_m, spec.depth_head),
        "normals": Normals,
        "seg": lambda: Seg(spec.classes, class_weights(spec.class_frequencies, spec.class_weights), spec.ignore),
    }
    unknown = [name for name in spec.tasks if name not in makers]
    if unknown:
        raise ValueError(f"unknown task {', '.join(unknown)}; there are {', '.join(makers)}")
    return {name: makers[name]() for name in spec.tasks}
