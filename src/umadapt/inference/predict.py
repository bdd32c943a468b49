"""All tasks on photos of any size, with trust maps; the output folder is a data folder of its own.

OUT/
  image/STEM.jpg|png      the photo, upright
  TASK/STEM.png           depth, normals, seg: the folder format; edges: 8-bit grey, 1 + 254 * probability
  npy/depth/STEM.npy      float32 (H, W) metres
  npy/normals/STEM.npy    float16 (H, W, 3) unit vectors
  npy/seg/STEM.npy        uint8 (H, W) class ids
  npy/edges/STEM.npy      float16 (H, W) probabilities
  trust/TASK/STEM.png     8-bit grey, low = good: value / 255 * "white" of dataset.json is the disagreement
  trust/means.json        {STEM: {TASK: mean disagreement of the photo}}, of all photos predicted into OUT
  view/STEM.png           photo | each task | trust, for people
  cloud/STEM.glb|ply      with --cloud: what the photo shows as a mesh or points, metres, y up
  video/STEM.mp4          of a clip: its frames beside their maps, in colours that are fixed for it; nothing else
  dataset.json            classes, depth scale, and what "white" stands for
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from umadapt.data import json_schema, viz
from umadapt.data.atomic import claimed, sweep, whole_file, write_bytes, write_json
from umadapt.data.camera import Camera, exif_focal
from umadapt.data.files import LABEL_MODES, Stored, is_upright_jpeg, read_photo, write_image, write_pixels
from umadapt.data.ids import check_id
from umadapt.data.window import Window
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.inference import cloud, video
from umadapt.inference.enlarge import strips
from umadapt.inference.loading import load
from umadapt.inference.predictor import Predictor

if TYPE_CHECKING:
    from umadapt import config as configs

__all__ = ["Predictor", "load", "run"]

MEANS = json_schema.table(
    json_schema.table(json_schema.number(0))
)  # of trust/means.json: photo -> task -> mean disagreement
VIEW_WIDTH = 400  # of each of the pictures for people, in pixels


class Photo(NamedTuple):
    """A photo to predict."""

    file: Stored
    window: Window | None  # of its folder; a file that was given by itself is seen whole
    camera: Camera | None  # of its folder

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8, the whole photo. Raises UserError when it cannot be read or the window does not fit."""
        rgb = read_photo(self.file)
        if self.window is not None:
            self.window.check(rgb, self.file)
        if self.camera is not None:
            self.camera.check(rgb.shape, self.file)
        return rgb

    def focal(self, rgb: np.ndarray, fov: float) -> float | None:
        """Its focal length in pixels: by --fov, its folder, or its EXIF; None = unknown."""
        height, width = rgb.shape[:2]
        if fov:
            return max(height, width) / 2 / math.tan(math.radians(fov) / 2)
        return self.camera.fx * width / self.camera.width if self.camera else exif_focal(self.file)


def find_photos(photos: Sequence[Path], some: bool = True) -> dict[str, Photo]:
    """Stem, or id in its folder -> photo, of photo files and folders (plain, DATA, or DATA:SPLIT).

    Raises:
        UserError: nothing there, or two photos of one name (their predictions would overwrite each other).
    """
    from umadapt.data.folder import Folder

    given: list[tuple[str, Photo]] = []
    for path in photos:
        if path.is_file():
            given.append((path.stem, Photo(path, None, None)))
        else:
            folder = Folder(path)
            for id in folder.ids:
                given.append((id, Photo(folder.image_path(id), folder.window_of(id), folder.camera_of(id))))
    found: dict[str, Photo] = {}
    for id, photo in given:
        file, twin = photo.file, found.setdefault(check_id(id, photo.file), photo).file
        if twin.resolve() != file.resolve():
            raise UserError(
                f"{twin} and {file} would both be written as {id}.png. "
                "Rename one of them, or predict them into two folders"
            )
    if not found and some:
        raise UserError("no photos given; expected files or folders, for example: umadapt predict RUN PHOTO --out DIR")
    return found


def run(config: configs.Predict) -> int:
    """The command `predict`. Photos that cannot be read are named at the end, with exit code 1.

    Raises UserError where another process predicts into the folder.
    """
    with contextlib.nullcontext() if process_group.rank() else claimed(config.out):
        return predict_all(config)


def predict_all(config: configs.Predict) -> int:
    """`run`, alone in its folder."""
    from tqdm import tqdm

    if config.cloud:
        cloud.check_installed()
    clips = video.find_clips(config.photos)
    photos = find_photos([path for path in config.photos if path not in clips.values()], some=not clips)
    if config.out.resolve() in {photo.file.resolve().parent for photo in photos.values()}:
        raise UserError(f"{config.out} is the folder of the photos themselves; give --out a new folder")
    predictor = load(config.run, config.device, config.witnesses, config.class_map)
    if config.cloud:
        cloud.check(predictor.maps, config.cloud_colours)
    if not process_group.rank():
        refuse_foreign(config.out, predictor.maps)
    meta = describe(predictor, config.out.resolve().name)
    if not process_group.rank():
        write_json(config.out / "dataset.json", meta)  # first: marks the folder as ours, also when interrupted
        for folder in (config.out, *config.out.glob("*/"), *config.out.glob("*/*/")):
            sweep(folder)
    process_group.barrier()
    mine = process_group.share_of(list(photos.items()), process_group.rank(), process_group.size())
    bad: list[str] = []
    unknown = 0
    means: dict[str, dict[str, float]] = {}
    for stem, photo in tqdm(mine, unit="photo", file=sys.stderr, leave=False, disable=process_group.rank() > 0):
        try:
            rgb = photo.read()
        except UserError as error:
            bad.append(str(error))
            continue
        focal = photo.focal(rgb, config.fov)
        unknown += focal is None
        found = predictor.look(rgb, photo.window, focal, photo.file)
        means[stem] = write_prediction(config.out, stem, photo.file, rgb, found, predictor)
        if config.cloud:
            write_cloud(config, stem, rgb, focal, predictor)
    bad += predict_clips(config, clips, predictor)
    add_means(config.out / "trust" / "means.json", process_group.gather(means))
    bad = [line for part in process_group.gather(bad) for line in part]
    unknown = sum(process_group.gather(unknown))
    given = len(photos) + len(clips)
    what = "photos" if not clips else "photos and clips" if photos else "clips"
    print(f"{given - len(bad)} of {given} {what} predicted into {config.out}")
    if unknown and predictor.fov:
        print(
            f"the camera of {unknown} is not known (no dataset.json, no EXIF) and taken to see {predictor.fov:.0f} "
            "degrees along the longer side; with another field of view depths are off by a factor: give --fov DEGREES"
        )
    for line in bad if not process_group.rank() else ():
        print(line, file=sys.stderr)
    return 1 if bad else 0


def predict_clips(config: configs.Predict, clips: Mapping[str, Path], predictor: Predictor) -> list[str]:
    """Write OUT/video/STEM.mp4 of this rank's share of clips; what is wrong with others."""
    bad = []
    for stem, clip in process_group.share_of(list(clips.items()), process_group.rank(), process_group.size()):
        try:
            written = config.out / "video" / f"{check_id(stem, clip)}.mp4"
            count = video.predict_clip(clip, written, predictor, config.fov)
        except UserError as error:
            bad.append(str(error))
            continue
        print(f"{count} frames of {clip}: {written}")
    return bad


def add_means(file: Path, parts: Sequence[Mapping[str, Mapping[str, float]]]) -> None:
    """Put the mean disagreements of photos, of every rank, beside those of photos that were predicted before."""
    found = {stem: means for part in parts for stem, means in part.items() if means}
    if process_group.rank() or not found:
        return
    before: dict[str, Any] = {}
    try:
        before = json_schema.read(file, MEANS, "the means of photos that were predicted before are left out")
    except FileNotFoundError:
        pass
    except UserError as error:  # what was predicted now is not to be lost with it
        print(error, file=sys.stderr)
    write_json(file, dict(sorted({**before, **found}.items())))


def refuse_foreign(out: Path, tasks: Iterable[str]) -> None:
    """Raise a UserError when `out` holds data that `predict` did not write: labels, or maps of `tasks`."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; --out wants a folder")
    try:
        ours = "trust" in json_schema.read(
            out / "dataset.json", json_schema.table(json_schema.anything), "give --out a new folder"
        )
    except (FileNotFoundError, UserError):
        ours = False
    if not ours and any((out / name).exists() for name in ("dataset.json", "image", *LABEL_MODES, *tasks)):
        raise UserError(f"{out} holds a data set that predict did not write; give --out a new folder")


def describe(predictor: Predictor, name: str) -> dict[str, Any]:
    """The dataset.json of a folder of predictions.

    "trust" says what white (255) of a trust map stands for; more disagreement is white too. OURS: fixed for a run, so
    that maps of different photos compare; each task's file says why it is what it is.
    """
    return {
        "name": name,
        "license": "",
        "camera": None,
        "tasks": {task: map_.stored() for task, map_ in predictor.maps.items()},
        "trust": predictor.trust,
    }


def write_prediction(
    out: Path, stem: str, photo: Stored, rgb: np.ndarray, found: Mapping[str, Any], predictor: Predictor
) -> dict[str, float]:
    """Write all files of one photo; `found` is what `predictor.look` gave for it. The mean of each trust map.

    Maps are made, stored and drawn a strip at a time; no more than the stored numbers of one are held at once.
    """
    _copy_photo(out / "image", stem, photo, rgb)
    small: dict[str, np.ndarray] = {}
    means: dict[str, float] = {}
    for name, map_ in predictor.maps.items():
        npy = out / "npy" / name / f"{stem}.npy", map_.npy
        small[name], _ = _write_map(out / name / f"{stem}.png", found[name], map_.pixels, npy)
    for name, disagreement in found["trust"].items():
        white = predictor.trust[name]["white"]
        png = out / "trust" / name / f"{stem}.png"
        small[f"trust of {name}"], means[name] = _write_map(png, disagreement, functools.partial(_grey, white))
    write_image(out / "view" / f"{stem}.png", view(rgb, small, predictor))
    return means


def write_cloud(config: configs.Predict, stem: str, rgb: np.ndarray, focal: float | None, predictor: Predictor) -> None:
    """Write OUT/cloud/STEM.glb or .ply of maps that were written before; an unknown camera is the one assumed."""
    depth = np.load(config.out / "npy" / "depth" / f"{stem}.npy", mmap_mode="r")
    assumed = max(depth.shape) / 2 / math.tan(math.radians(predictor.fov or cloud.FOV) / 2)
    colours = rgb
    if config.cloud_colours != "photo":
        painted = np.load(config.out / "npy" / config.cloud_colours / f"{stem}.npy")
        colours = predictor.maps[config.cloud_colours].picture(painted)
    shape = cloud.shape_of(depth, assumed if focal is None else focal, colours, config.cloud_shape)
    cloud.write_shape(config.out / "cloud" / f"{stem}.{config.cloud}", shape)


def _grey(white: float, disagreement: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(disagreement / white, 0, 1) * 255).astype(np.uint8)


def _write_map(
    png: Path,
    map_: Any,
    pixels: Callable[[np.ndarray], np.ndarray],
    npy: tuple[Path, type[Any]] | None = None,
) -> tuple[np.ndarray, float]:
    """Write a map as a picture, and its numbers as `npy`, a path and their type; its thumbnail, and its mean."""
    height, width = map_.shape[:2]
    rows, columns = viz.picked((height, width), VIEW_WIDTH)
    thumbnail = np.empty((len(rows), len(columns), *map_.shape[2:]), map_.dtype)
    stored, total = None, 0.0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_npy_file(npy[0], map_.shape, npy[1])) if npy else None
        for top, strip in strips(map_):
            kept = pixels(strip)
            stored = np.empty((height, *kept.shape[1:]), kept.dtype) if stored is None else stored
            stored[top : top + len(strip)] = kept
            shown = (rows >= top) & (rows < top + len(strip))
            thumbnail[shown] = strip[rows[shown] - top][:, columns]
            total += float(strip.sum(dtype=np.float64))
            if file and npy:
                file.write(np.ascontiguousarray(strip, npy[1]).tobytes())
    assert stored is not None
    write_pixels(png, stored)
    return thumbnail, total / map_.shape[0] / map_.shape[1]


@contextlib.contextmanager
def _npy_file(path: Path, shape: tuple[int, ...], kind: type[Any]) -> Iterator[BinaryIO]:
    """A file of NumPy's format, of which the numbers are still to be written, row by row."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": shape}
    with whole_file(path) as new, new.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _copy_photo(folder: Path, stem: str, photo: Stored, rgb: np.ndarray) -> None:
    """The photo itself, so that the folder is complete; its bytes where they are an upright JPEG, else a PNG."""
    data = photo.read_bytes()
    plain = is_upright_jpeg(data)
    target = folder / f"{stem}.{'jpg' if plain else 'png'}"
    if target.exists() and target.resolve() == photo.resolve():
        return  # predicting the folder's own photos again
    if plain:
        write_bytes(target, data)
    else:
        write_image(target, rgb)


def view(rgb: np.ndarray, small: Mapping[str, np.ndarray], predictor: Predictor) -> np.ndarray:
    """Photo | each task | trust of each task, side by side: (h, W, 3) uint8 for people, of thumbnails by name."""
    pictures = {"photo": viz.thumbnail_photo(rgb, VIEW_WIDTH)}
    for name, map_ in predictor.maps.items():
        pictures[name] = map_.picture(small[name])
    for name, shown in predictor.trust.items():
        pictures[f"trust of {name} (teal = good)"] = viz.trust_to_rgb(small[f"trust of {name}"] / shown["white"])
    tile = pictures["photo"].shape
    return viz.contact_sheet([list(pictures.values())], list(pictures), (tile[0], tile[1]))
