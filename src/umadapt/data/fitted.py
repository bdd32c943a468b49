"""A folder with normals as NYUDv2's are: planes fitted to its depth."""

from __future__ import annotations

import numpy as np

from umadapt.data.cached import cached_normals
from umadapt.data.folder import TASKS, Folder
from umadapt.errors import UserError


def fits_normals(folder: Folder) -> bool:
    """Whether `FittedNormals` can make normals of it."""
    return "depth" in folder.tasks and folder.has_camera


class FittedNormals(Folder):
    """A folder, its normals planes fitted to its depth with its camera, whatever normals it has of its own.

    They are of the whole depth map, computed once and kept (`cached_normals`); the depth file stands for theirs. A
    picture without a camera has none.

    Raises:
        UserError: the folder has no depth, or names no camera.
    """

    made = "normals"  # the label that this is about

    def __init__(self, folder: Folder) -> None:
        vars(self).update(vars(folder))
        if "depth" not in folder.tasks:
            raise UserError(f"{folder.root / 'depth'}: no depth to fit normals to; add it, or take normals as they are")
        if not folder.has_camera:
            raise UserError(
                f"{folder.root / 'dataset.json'}: normals are fitted to depth with a camera, and this names none; "
                'add "camera": {fx, fy, cx, cy, width, height}, or take normals as they are'
            )
        depth = folder.stored("depth")
        self._labels = {**folder._labels, self.made: {id: file for id, file in depth.items() if folder.camera_of(id)}}
        self.tasks = tuple(task for task in TASKS if task in {*folder.tasks, self.made})

    def read_normals(self, id: str) -> np.ndarray | None:
        depth_m, camera = self.read_depth(id), self.camera_of(id)
        return None if depth_m is None or camera is None else cached_normals(depth_m, camera)
