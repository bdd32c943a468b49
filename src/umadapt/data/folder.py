"""The folder format: one reader. numpy and PIL only, so that it imports fast; the writers stand in `files`.

DATA/{dataset.json, image/ID.jpg|png, depth/ID.png, normals/ID.png, seg/ID.png, splits/NAME.txt}; a plain folder of
photos is valid too, and so is one of labels alone (what `predict` writes). `DATA:NAME` addresses a split. DATA may
also be a set that `umadapt pack` wrote (see `shards`), here or behind a URL.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from umadapt.data.camera import Camera, exif_focal, read_camera, read_cameras
from umadapt.data.class_map import UNLABELLED, Names, is_merged, merging
from umadapt.data.dataset_json import read_meta
from umadapt.data.depth_units import MOST_STEPS, refuse_no_scene
from umadapt.data.files import (
    PHOTO_SUFFIXES,
    Stored,
    decode_normals,
    hxw,
    other_size,
    read_label_bytes,
    read_photo,
)
from umadapt.data.listing import list_data, list_folder, nothing_found, read_split, told
from umadapt.data.packed.remote import split_address
from umadapt.data.packed.shards import Packed, open_packed
from umadapt.data.window import Window, read_window
from umadapt.errors import UserError

TASKS = ("depth", "normals", "seg")  # those with labels of the format; others are made from these, or predictions
# What else lies in data sets and folders of predictions: written by our commands, or read by its name alone.
OTHERS = ("dataset.json", "splits", "check.png", "shards", "index.npz", "pack.json", "trust", "view", "npy")

_told: set[str] = set()  # lines on files that are not read: once in a process is enough


class Folder:
    """A data folder or packed set, or one split of it. It is listed once (a packed set not at all, its index is read);
    files are read on demand, by any thread.

    `read_image`, `read_depth`, … give what is stored, the whole picture; `read` and `read_window` what networks are to
    see of it, the window of dataset.json (see `Window`). `camera_of` is the camera of the whole picture.

    What lies there and is not read is counted in `unread`; a line on stderr says so, where `tell`.

    Raises UserError, naming the file, for whatever is missing, damaged or not of the format; for a folder of photos or
    labels none of whose files can be read.
    """

    def __init__(self, address: str | Path, tell: bool = True) -> None:
        self.root, self.split = split_address(address)
        self.unread: Counter[str] = Counter()  # files that are not read, by reason
        self.packed: Packed | None = open_packed(self.root)
        if self.packed is None and not self.root.is_dir():
            if self.root.suffix.lower() in PHOTO_SUFFIXES and not self.root.exists():
                raise UserError(f"{self.root}: no such file")
            found = "a file" if self.root.exists() else "no such folder"
            raise UserError(f"{self.root}: {found}; expected a data folder or a folder of photos")
        self._read_meta()
        self._labels: dict[str, Mapping[str, Stored]]
        self._images: Mapping[str, Stored]
        self.photos_in_root = False
        if self.packed is None:
            self._list()
        else:
            self._labels = {task: self.packed.files(task) for task in TASKS}
            self._images = self.packed.files("image")
        known = sorted(self._images) or sorted(set().union(*self._labels.values()))
        if not known:
            raise UserError(nothing_found(self.root, self.unread))
        if tell:
            self._tell_unread()
        others = self.packed.index.splits if self.packed else ()
        self.ids: tuple[str, ...] = (
            tuple(known) if self.split is None else read_split(self.root, self.split, set(known), others)
        )
        self.tasks: tuple[str, ...] = tuple(t for t in TASKS if any(i in self._labels[t] for i in self.ids))

    def _list(self) -> None:
        own = {"image", *TASKS, *OTHERS, *(self.meta.get("tasks") or ())}
        found = list_data(self.root, TASKS, own)
        self._images, self._labels = found.images, dict(found.labels)
        self.unread, self.photos_in_root = found.unread, found.photos_in_root

    def _tell_unread(self) -> None:
        for line in (self.unread_line(), self.strange_line()):
            if line and line not in _told and os.environ.get("RANK", "0") == "0":
                _told.add(line)
                print(line, file=sys.stderr)

    def strange_line(self) -> str | None:
        """Entries of dataset.json that nothing reads, for people; None where there are none."""
        names = ", ".join(f'"{name}"' for name in self.strange[:8])
        return f"{self.root}: dataset.json has entries that nothing reads: {names}" if names else None

    def unread_line(self) -> str | None:
        """What lies there and is not read, for people; None where all is."""
        if not self.unread:
            return None
        count = sum(self.unread.values())
        labels = [id for task in TASKS for id in self._labels[task] if not self._images or id in self._images]
        read = len(self._images) + len(labels)
        return f"{self.root}: {count} of {read + count} files not read: {told(self.unread)}"

    def stored(self, task: str) -> Mapping[str, Stored]:
        """id -> file, of "image" or a task of the format; of ids outside the split too."""
        return self._images if task == "image" else self._labels[task]

    def merge_classes(self, names: Names) -> None:
        """Have seg hold the classes that a map makes of its own; nothing, where it is without, or has them already.

        Raises UserError when the map names others.
        """
        if not names or not self.classes or is_merged(names, self.classes):
            return
        found = merging(names, self.classes, self.root)
        self.classes, self.ignore, self._new_ids = found.classes, UNLABELLED, found.table()

    def keep_labels(self, task: str, ids: Collection[str]) -> None:
        """Forget the labels of a task but for these ids."""
        kept = {id: path for id in self.ids if id in ids and (path := self.label_path(task, id)) is not None}
        self._labels[task] = kept
        self.tasks = tuple(t for t in TASKS if any(i in self._labels[t] for i in self.ids))

    def _read_meta(self) -> None:
        path = self.root / "dataset.json"
        self.meta, self.strange = read_meta(path)
        depth, seg = ((self.meta.get("tasks") or {}).get(task) or {} for task in ("depth", "seg"))
        self.name = str(self.meta.get("name") or self.root.resolve().name)
        self.classes: tuple[str, ...] = tuple(seg.get("classes", ()))
        self.ignore = int(seg.get("ignore", 255))
        self._stored_classes, self._stored_ignore = self.classes, self.ignore
        self._new_ids: np.ndarray | None = None  # (256,) uint8, by stored id
        self.depth_scale_m = float(depth.get("scale_m", 0.001))
        self.depth_max_m = float(depth.get("max_m", 10.0))
        self.most_steps = MOST_STEPS  # the largest stored depth that is one
        self.max_m_stated = "max_m" in depth
        if self.max_m_stated:
            self.most_steps = int(min(MOST_STEPS, round(min(self.depth_max_m / self.depth_scale_m, MOST_STEPS))))
        self.camera = read_camera(self.meta.get("camera"), path)  # of pictures that have none of their own
        self.cameras = read_cameras(self.meta, path)
        self._window = read_window(self.meta.get("window"), path)
        self._windows: dict[str, Window | None] = {}  # of ids with one of their own

    def image_path(self, id: str) -> Stored:
        """The photo's file. Raises UserError when there is none."""
        if id not in self._images:
            raise UserError(f"{self.root}: no image with id {id!r}")
        return self._images[id]

    def label_path(self, task: str, id: str) -> Stored | None:
        """The label's file, None when absent."""
        if task not in self._labels:  # predictions of another task
            self._labels[task] = list_folder(self.root / task, [".png"]).files
        return self._labels[task].get(id)

    def has(self, task: str, id: str) -> bool:
        """Whether `task` ("image" too) has a file for this id."""
        return id in self._images if task == "image" else self.label_path(task, id) is not None

    @property
    def has_camera(self) -> bool:
        """Whether the camera of a picture is known."""
        return any(self.camera_of(id) for id in self.ids)

    def camera_of(self, id: str) -> Camera | None:
        """The camera of this picture, the whole of it; None = unknown."""
        return self.cameras.get(id, self.camera)

    def focal_of(self, id: str, width: int) -> float | None:
        """Focal length in pixels of the whole picture, `width` pixels wide, by dataset.json or EXIF; None = unknown."""
        camera = self.camera_of(id)
        return exif_focal(self.image_path(id)) if camera is None else camera.fx * width / camera.width

    def window_of(self, id: str) -> Window | None:
        """What networks are to see of this picture; None = all of it."""
        return self._windows.get(id, self._window)

    def known_as(self, ids: Iterable[str]) -> list[str]:
        """Ids, each with its window where it has one: what tells a run whether it still sees the same."""
        windows = ((id, self.window_of(id)) for id in ids)
        return [id if window is None else f"{id} {window}" for id, window in windows]

    def read_image(self, id: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright. Raises UserError when it cannot be a picture of its camera."""
        rgb, camera = read_photo(self.image_path(id)), self.camera_of(id)
        if camera is not None:
            camera.check(rgb.shape, self.image_path(id))
        return rgb

    def photo(self, id: str) -> tuple[np.ndarray, Window | None, float | None]:
        """(H, W, 3) uint8 RGB, the whole picture; its window; its focal length: what `Predictor.predict` takes.

        Raises UserError when the window does not fit.
        """
        rgb, window = self.read_image(id), self.window_of(id)
        if window is not None:
            window.check(rgb, self.image_path(id))
        return rgb, window, self.focal_of(id, rgb.shape[1])

    def read_window(self, id: str) -> np.ndarray:
        """(h, w, 3) uint8 RGB: the window of the photo. Raises UserError when it does not fit."""
        return self.crop(id, self.read_image(id))

    def crop(self, id: str, whole: np.ndarray) -> np.ndarray:
        """The window of a picture or label of this id, (H, W, …) to (h, w, …). Raises UserError when it does not fit.

        A camera for it: `self.camera_of(id).scaled(H, W).cropped(window)`.
        """
        window = self.window_of(id)
        if window is None:
            return whole
        name, camera = self._images.get(id, f"{self.root}, labels of {id}"), self.camera_of(id)
        window.check(whole, name)
        if camera is not None and (camera.height, camera.width) != whole.shape[:2]:
            raise UserError(
                f"{name}: found {hxw(whole)}, but its camera in dataset.json is of {camera.height}x{camera.width}; "
                'with a "window", which is in pixels of the picture, give the camera of pictures of this very size'
            )
        return window.crop(whole)

    def read_depth(self, id: str, truth: bool = True) -> np.ndarray | None:
        """(H, W) float32 metres, planar z, 0 = missing. None when the file is absent.

        Where it is `truth`, what lies beyond max_m of dataset.json is missing, and so is the largest number that a file
        can hold, which says "too far" or "none" wherever it stands. Raises UserError when the rest cannot be a scene.
        """
        path = self.label_path("depth", id)
        return None if path is None else self.metres(read_label_bytes(path, "depth"), path, truth)

    def metres(self, steps: np.ndarray, path: Stored, truth: bool = True) -> np.ndarray:
        """What `read_depth` gives, of the stored numbers (H, W) uint16 of this file."""
        if truth:
            steps = np.where(steps > self.most_steps, np.uint16(0), steps)
            refuse_no_scene(steps, self.depth_scale_m, path)
        return steps * np.float32(self.depth_scale_m)

    def read_normals(self, id: str) -> np.ndarray | None:
        """(H, W, 3) float32 unit normals, x right, y up, z towards the viewer, 0 = missing. None when absent."""
        path = self.label_path("normals", id)
        return None if path is None else decode_normals(read_label_bytes(path, "normals"))

    def read_seg(self, id: str) -> np.ndarray | None:
        """(H, W) uint8 class ids. None when absent. Raises UserError on an id that is neither a class nor `ignore`."""
        path = self.label_path("seg", id)
        if path is None:
            return None
        seg = read_label_bytes(path, "seg")
        if self._stored_classes:  # without names any id may be right
            present = np.flatnonzero(np.bincount(seg.ravel(), minlength=256))
            known, ignore = len(self._stored_classes), self._stored_ignore
            strange = [int(i) for i in present if i >= known and i != ignore]
            if strange:
                listed = ", ".join(map(str, strange[:8]))
                expected = f"expected 0 to {known - 1}, or {ignore} for unlabelled"
                raise UserError(f"{path}: unknown class ids {listed}; {expected}")
        return seg if self._new_ids is None else self._new_ids[seg]

    def read_share(self, task: str, id: str) -> np.ndarray | None:
        """(H, W) float32 in [0, 1], -1 = missing: what `write_share` wrote, such as edges. None when absent."""
        path = self.label_path(task, id)
        if path is None:
            return None
        stored = read_label_bytes(path, task)
        return np.where(stored > 0, (stored.astype(np.float32) - 1) / 254, np.float32(-1))

    def read_label(self, task: str, id: str, truth: bool = True) -> np.ndarray | None:
        """`read_depth`, `read_normals` or `read_seg`; `read_share` of any other."""
        if task == "depth" and not truth:
            return self.read_depth(id, truth=False)
        own = {"depth": self.read_depth, "normals": self.read_normals, "seg": self.read_seg}
        return own[task](id) if task in own else self.read_share(task, id)

    def read(self, id: str, tasks: Iterable[str], images: bool = True) -> dict[str, np.ndarray | None]:
        """{"image": (h, w, 3) uint8 where `images`, task: label or None when absent}, the window of each.

        Raises UserError when sizes differ, or the window does not fit.
        """
        whole: dict[str, np.ndarray | None] = {"image": self.read_image(id)} if images else {}
        whole |= {task: self.read_label(task, id) for task in tasks}
        there = [(task, array) for task, array in whole.items() if array is not None]
        for task, array in there[1:]:
            first, expected = there[0]
            if array.shape[:2] != expected.shape[:2]:
                found, other = self.stored(task)[id], self.stored(first)[id]
                raise UserError(f"{found}: {other_size(array.shape, expected.shape)} as {other}")
        camera = self.camera_of(id)
        if there and camera is not None:
            camera.check(there[0][1].shape, self.stored(there[0][0])[id])
        return {task: None if array is None else self.crop(id, array) for task, array in whole.items()}
