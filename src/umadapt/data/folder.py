"""The folder format: one reader. numpy and PIL only, so that it imports fast; the writers stand in `files`.

DATA/{dataset.json, image/ID.jpg|png, depth/ID.png, normals/ID.png, seg/ID.png, splits/NAME.txt}; a plain folder of
photos is valid too, and so is one of labels alone (what `predict` writes). `DATA:NAME` addresses a split. DATA may
also be a set that `umadapt pack` wrote (see `shards`), here or behind a URL.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data.camera import Camera, exif_focal, read_camera, read_cameras
from umadapt.data.files import (
    PHOTO_FORMATS,
    Stored,
    decode_normals,
    hxw,
    read_label_bytes,
    read_photo,
    write_bytes,
    write_depth,
    write_image,
    write_json,
    write_normals,
    write_seg,
    write_share,
)
from umadapt.data.packed.remote import split_address
from umadapt.data.packed.shards import Packed, open_packed
from umadapt.data.window import Window, read_window
from umadapt.errors import UserError

__all__ = [
    "TASKS",
    "Camera",
    "Folder",
    "decode_normals",
    "hxw",
    "read_label_bytes",
    "read_photo",
    "split_address",
    "write_bytes",
    "write_depth",
    "write_image",
    "write_json",
    "write_normals",
    "write_seg",
    "write_share",
]

TASKS = ("depth", "normals", "seg")  # those with labels of the format; others are made from these, or predictions


def _list_files(folder: Path) -> list[str]:
    """Names of the visible files in a folder, sorted; none when it does not exist."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror or error})") from error


def _by_stem(folder: Path, suffixes: Iterable[str]) -> dict[str, Path]:
    """id -> file. Raises UserError when two files share an id."""
    found: dict[str, Path] = {}
    for name in _list_files(folder):
        path = folder / name
        if path.suffix.lower() in suffixes:
            if path.stem in found:
                twin = found[path.stem].name
                raise UserError(f"{folder}: {twin} and {name} share the id {path.stem!r}; rename or remove one of them")
            found[path.stem] = path
    return found


class Folder:
    """A data folder or packed set, or one split of it. It is listed once (a packed set not at all, its index is read);
    files are read on demand, by any thread.

    `read_image`, `read_depth`, … give what is stored, the whole picture; `read` and `read_window` what networks are to
    see of it, the window of dataset.json (see `Window`). `camera_of` is the camera of the whole picture.

    Raises UserError, naming the file, for whatever is missing, damaged or not of the format.
    """

    def __init__(self, address: str | Path) -> None:
        self.root, self.split = split_address(address)
        self.packed: Packed | None = open_packed(self.root)
        if self.packed is None and not self.root.is_dir():
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
            raise UserError(self._nothing_found())
        self.ids: tuple[str, ...] = tuple(known) if self.split is None else self._read_split(set(known))
        self.tasks: tuple[str, ...] = tuple(t for t in TASKS if any(i in self._labels[t] for i in self.ids))

    @classmethod
    def joined(cls, addresses: Sequence[str | Path]) -> Folder:
        """The photos of several folders as one, without labels; ids are `0-ID`, `1-ID`, … by folder.

        One address gives that folder, labels and all. Raises UserError when one of them has no photos.
        """
        folders = [cls(address) for address in addresses]
        for folder in folders:
            if not folder.has("image", folder.ids[0]):
                raise UserError(f"{folder.root} holds labels alone; expected a folder of photos")
        if len(folders) == 1:
            return folders[0]
        self = copy.copy(folders[0])
        self.root, self.split = Path(" + ".join(map(str, addresses))), None
        self.name, self.camera, self.tasks = " + ".join(folder.name for folder in folders), None, ()
        self.cameras = {f"{i}-{id}": f.camera_of(id) for i, f in enumerate(folders) for id in f.ids}
        self._windows = {f"{i}-{id}": f.window_of(id) for i, f in enumerate(folders) for id in f.ids}
        self._labels = {task: {} for task in TASKS}
        self._images = {f"{i}-{id}": f.image_path(id) for i, f in enumerate(folders) for id in f.ids}
        self.ids = tuple(self._images)
        return self

    def _list(self) -> None:
        self._labels = {task: _by_stem(self.root / task, [".png"]) for task in TASKS}
        inside = (self.root / "image").is_dir()
        # Beside label folders, a picture directly in DATA is no photo (a contact sheet, say).
        loose = not inside and not any(self._labels.values())
        self._images = _by_stem(self.root / "image" if inside else self.root, PHOTO_FORMATS) if inside or loose else {}
        self.photos_in_root = loose

    def stored(self, task: str) -> Mapping[str, Stored]:
        """id -> file, of "image" or a task of the format; of ids outside the split too."""
        return self._images if task == "image" else self._labels[task]

    def keep_labels(self, task: str, ids: Collection[str]) -> None:
        """Forget the labels of a task but for these ids."""
        kept = {id: path for id in self.ids if id in ids and (path := self.label_path(task, id)) is not None}
        self._labels[task] = kept
        self.tasks = tuple(t for t in TASKS if any(i in self._labels[t] for i in self.ids))

    def _nothing_found(self) -> str:
        place = self.root / "image" if (self.root / "image").is_dir() else self.root
        kinds = Counter(Path(name).suffix.lower() or "(no suffix)" for name in _list_files(place))
        found = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(3)) or "no files"
        return f"{place}: found no photos ({found}); expected {' '.join(PHOTO_FORMATS)}"

    def _read_meta(self) -> None:
        path = self.root / "dataset.json"
        self.meta: dict[str, Any] = {}
        try:
            with contextlib.suppress(FileNotFoundError):
                self.meta = json.loads(path.read_bytes().decode("utf-8-sig"))
            depth, seg = (self.meta.get("tasks", {}).get(task) or {} for task in ("depth", "seg"))
            self.name = str(self.meta.get("name") or self.root.resolve().name)
            self.classes: tuple[str, ...] = tuple(str(name) for name in seg.get("classes", ()))
            self.ignore = int(seg.get("ignore", 255))
            self.depth_scale_m = float(depth.get("scale_m", 0.001))
            self.depth_max_m = float(depth.get("max_m", 10.0))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: malformed ({error}); expected "
                '{"name", "camera": {…} or null, "cameras": {id: {…}}, "window": [left, top, right, bottom], "tasks": '
                "{…}} as in the format's page"
            ) from error
        self.camera = read_camera(self.meta.get("camera"), path)  # of pictures that have none of their own
        self.cameras = read_cameras(self.meta, path)
        self._window = read_window(self.meta.get("window"), path)
        self._windows: dict[str, Window | None] = {}  # of ids with one of their own
        positive = [self.depth_scale_m, self.depth_max_m]
        if not all(0 < value < float("inf") for value in positive):
            raise UserError(f"{path}: scale_m and max_m must be positive; found {positive}")
        if not 0 <= self.ignore <= 255 or isinstance(seg.get("classes"), str):
            raise UserError(f"{path}: seg needs a list of classes, and ignore from 0 to 255; found {seg}")

    def _read_split(self, known: set[str]) -> tuple[str, ...]:
        path = self.root / "splits" / f"{self.split}.txt"
        try:
            lines = path.read_bytes().decode("utf-8-sig").splitlines()
        except FileNotFoundError as error:
            listed = [Path(n).stem for n in _list_files(path.parent) if n.endswith(".txt")]
            names = listed or (self.packed.index.splits if self.packed else ())
            have = ", ".join(names) or f"none (no {path.parent}/NAME.txt)"
            raise UserError(f"{self.root}: no split {self.split!r}; it has: {have}") from error
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); expected text, one id a line") from error
        ids = [line.strip() for line in lines if line.strip()]
        repeated = [i for i, n in Counter(ids).items() if n > 1]
        absent = [i for i in ids if i not in known]
        if not ids:
            raise UserError(f"{path}: empty; expected one id a line")
        if repeated:
            raise UserError(f"{path}: id {repeated[0]!r} is listed more than once ({len(repeated)} such ids)")
        if absent:
            hint = " (write ids without the suffix)" if Path(absent[0]).stem in known else ""
            raise UserError(f"{path}: {len(absent)} of {len(ids)} ids have no image, such as {absent[0]!r}{hint}")
        return tuple(ids)

    def image_path(self, id: str) -> Stored:
        """The photo's file. Raises UserError when there is none."""
        if id not in self._images:
            raise UserError(f"{self.root}: no image with id {id!r}")
        return self._images[id]

    def label_path(self, task: str, id: str) -> Stored | None:
        """The label's file, None when absent."""
        if task not in self._labels:  # predictions of another task
            self._labels[task] = _by_stem(self.root / task, [".png"])
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
        """(H, W, 3) uint8 RGB, upright."""
        return read_photo(self.image_path(id))

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
        window.check(whole, self._images.get(id, f"{self.root}, labels of {id}"))
        return window.crop(whole)

    def read_depth(self, id: str) -> np.ndarray | None:
        """(H, W) float32 metres, planar z, 0 = missing; not capped at `depth_max_m`. None when the file is absent."""
        path = self.label_path("depth", id)
        return None if path is None else read_label_bytes(path, "depth") * np.float32(self.depth_scale_m)

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
        if self.classes:  # without names any id may be right
            present = np.flatnonzero(np.bincount(seg.ravel(), minlength=256))
            strange = [int(i) for i in present if i >= len(self.classes) and i != self.ignore]
            if strange:
                listed = ", ".join(map(str, strange[:8]))
                expected = f"expected 0 to {len(self.classes) - 1}, or {self.ignore} for unlabelled"
                raise UserError(f"{path}: unknown class ids {listed}; {expected}")
        return seg

    def read_share(self, task: str, id: str) -> np.ndarray | None:
        """(H, W) float32 in [0, 1], -1 = missing: what `write_share` wrote, such as edges. None when absent."""
        path = self.label_path(task, id)
        if path is None:
            return None
        stored = read_label_bytes(path, task)
        return np.where(stored > 0, (stored.astype(np.float32) - 1) / 254, np.float32(-1))

    def read_label(self, task: str, id: str) -> np.ndarray | None:
        """`read_depth`, `read_normals` or `read_seg`; `read_share` of any other."""
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
                raise UserError(f"{found}: found {hxw(array)}, expected {hxw(expected)} as {other}")
        return {task: None if array is None else self.crop(id, array) for task, array in whole.items()}
