"""The photos of several folders as one folder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from umadapt.data.folder import TASKS, Folder
from umadapt.errors import UserError


def join(addresses: Sequence[str | Path]) -> Folder:
    """The photos of several folders as one, without labels; ids are `0-ID`, `1-ID`, … by folder.

    One address gives that folder, labels and all. Raises UserError when one of them has no photos.
    """
    folders = [Folder(address) for address in addresses]
    for folder in folders:
        if not folder.has("image", folder.ids[0]):
            raise UserError(f"{folder.root} holds labels alone; expected a folder of photos")
    if len(folders) == 1:
        return folders[0]
    own = copy.copy(folders[0])
    own.root, own.split = Path(" + ".join(map(str, addresses))), None
    own.name, own.camera, own.tasks = " + ".join(folder.name for folder in folders), None, ()
    own.cameras = {f"{i}-{id}": f.camera_of(id) for i, f in enumerate(folders) for id in f.ids}
    own._windows = {f"{i}-{id}": f.window_of(id) for i, f in enumerate(folders) for id in f.ids}
    own._labels = {task: {} for task in TASKS}
    own._images = {f"{i}-{id}": f.image_path(id) for i, f in enumerate(folders) for id in f.ids}
    own.ids = tuple(own._images)
    return own
