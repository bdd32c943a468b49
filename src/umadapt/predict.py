"""All tasks on photos of any size, with trust maps; the output folder is a data folder of its own.

OUT/
  image/STEM.jpg|png             the photo, upright
  {depth,normals,seg}/STEM.png   the folder format
  npy/depth/STEM.npy             float32 (H, W) metres
  npy/normals/STEM.npy           float16 (H, W, 3) unit vectors
  npy/seg/STEM.npy               uint8 (H, W) class ids
  trust/TASK/STEM.png            8-bit grey, low = good: value / 255 * "white" of dataset.json is the disagreement
  view/STEM.png                  photo | depth | normals | seg | trust, for people
  dataset.json                   classes, depth scale, and what "white" stands for
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from umadapt import config as configs
from umadapt import viz
from umadapt.checkpoint import load_model
from umadapt.config import ModelSpec
from umadapt.data.folder import (
    Folder,
    read_photo,
    write_bytes,
    write_depth,
    write_image,
    write_json,
    write_normals,
    write_seg,
)
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.photos import fitted, run_model, thumbnail, thumbnail_photo
from umadapt.tasks.resize import resize_map, resize_prediction

VIEW_WIDTH = 400  # of each of the pictures for people, in pixels
MAX_DEPTH_STEPS = 65535  # of a 16-bit PNG


@torch.inference_mode()
def predict_photo(model: UMAdapt, domain: str, rgb: np.ndarray) -> dict[str, Any]:
    """Predict every task on one photo, at the photo's own size.

    Args:
        model: in eval mode.
        domain: "source" or "target".
        rgb: (H, W, 3) uint8; the whole photo goes in, at the size that `fit_size` gives.

    Returns:
        "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
        as far as the model has the task, and "trust": {task: (H, W) float32}, the disagreement of the task's
        prediction and what the stage-1 transfer net makes of the other tasks (low = good): metres of depth,
        1 - cos of normals, nats of seg.

    Raises:
        UserError: a prediction is not finite.
    """
    size = (rgb.shape[0], rgb.shape[1])
    predictions = run_model(model, fitted(rgb, model.spec.size).unsqueeze(0), domain)
    result: dict[str, Any] = {}
    for name, task in model.tasks.items():
        physical = task.to_physical(predictions[name])[0]
        if not bool(torch.isfinite(physical).all()):
            raise UserError(f"the prediction of {name} holds NaN or infinity; the run's training probably diverged")
        array = resize_prediction(name, physical, size).cpu().numpy()
        if name == "seg":
            array = array.astype(np.uint8)
        result[name] = np.moveaxis(array, 0, -1) if name == "normals" else array
    result["trust"] = {}
    for name, cross in model.cross(predictions).items():
        disagreement = model.tasks[name].energy_map(cross, predictions[name])  # (1, h, w)
        if name == "depth":
            disagreement = disagreement * model.spec.depth_scale_m
        result["trust"][name] = resize_map(disagreement, size).squeeze(0).cpu().numpy()
    return result


@dataclass(frozen=True)
class Predictor:
    """A run, ready for photos: `umadapt.load("runs/noadv").predict("photo.jpg")`."""

    model: UMAdapt
    config: Mapping[str, Any]  # RUN/config.json

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids in "seg"."""
        return self.model.spec.classes

    def predict(self, photo: str | Path | np.ndarray) -> dict[str, Any]:
        """A photo file, or (H, W, 3) uint8 RGB, to what `predict_photo` gives.

        Raises:
            UserError: the file cannot be read, or the prediction is not finite.
        """
        rgb = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        return predict_photo(self.model, self.config["domain"], rgb)


def load(run: str | Path, device: str = "auto") -> Predictor:
    """Load a run folder.

    Raises:
        UserError: no run, not yet trained, damaged, or no such device.
    """
    return Predictor(*load_model(Path(run), device))


def trust_white(spec: ModelSpec) -> dict[str, dict[str, Any]]:
    """What white (255) of a trust map stands for, by task; more disagreement is white too.

    OURS: fixed for a run, so that maps of different photos compare. Depth: a tenth of the depth scale (1 m indoors).
    Normals: 1 - cos of a right angle. Seg: the cross-entropy of a uniform guess.
    """
    scales: dict[str, dict[str, Any]] = {
        "depth": {"white": 0.1 * spec.depth_scale_m, "unit": "m"},
        "normals": {"white": 1.0, "unit": "1 - cos"},
        "seg": {"white": math.log(max(2, len(spec.classes))), "unit": "nats"},
    }
    return {task: scales[task] for task in spec.graph}


def find_photos(photos: Sequence[Path]) -> dict[str, Path]:
    """Stem -> file, of photo files and folders (plain, DATA, or DATA:SPLIT).

    Raises:
        UserError: nothing there, or two photos of one stem (their predictions would overwrite each other).
    """
    files: list[Path] = []
    for path in photos:
        if path.is_file():
            files.append(path)
        else:
            folder = Folder(path)
            files += [folder.image_path(id) for id in folder.ids]
    found: dict[str, Path] = {}
    for path in files:
        twin = found.setdefault(path.stem, path)
        if twin.resolve() != path.resolve():
            raise UserError(
                f"{twin} and {path} would both be written as {path.stem}.png. "
                "Rename one of them, or predict them into two folders"
            )
    if not found:
        raise UserError("no photos given; expected files or folders, for example: umadapt predict RUN PHOTO --out DIR")
    return found


def run(config: configs.Predict) -> int:
    """The command `predict`. Photos that cannot be read are named at the end, with exit code 1."""
    photos = find_photos(config.photos)
    if config.out.resolve() in {path.resolve().parent for path in photos.values()}:
        raise UserError(f"{config.out} is the folder of the photos themselves; give --out a new folder")
    refuse_foreign(config.out)
    model, stored = load_model(config.run, config.device)
    # the largest depth that the file can hold is twice the network's unit at least, and 65 m indoors
    scale_m = max(0.001, 2 * model.spec.depth_scale_m / MAX_DEPTH_STEPS)
    meta = describe(model.spec, config.out.resolve().name, scale_m)
    write_json(config.out / "dataset.json", meta)  # first: marks the folder as ours, also when interrupted
    bad: list[str] = []
    for stem, path in tqdm(photos.items(), unit="photo", file=sys.stderr, leave=False):
        try:
            rgb = read_photo(path)
        except UserError as error:
            bad.append(str(error))
            continue
        found = predict_photo(model, stored["domain"], rgb)
        write_prediction(config.out, stem, path, rgb, found, meta)
    print(f"{len(photos) - len(bad)} of {len(photos)} photos predicted into {config.out}")
    for line in bad:
        print(line, file=sys.stderr)
    return 1 if bad else 0


def refuse_foreign(out: Path) -> None:
    """Raise a UserError when `out` holds data that `predict` did not write: labels would be overwritten."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"{out} is a file; --out wants a folder")
    try:
        ours = "trust" in json.loads((out / "dataset.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        ours = False
    if not ours and any((out / name).exists() for name in ("dataset.json", "image", "depth", "normals", "seg")):
        raise UserError(f"{out} holds a data set that predict did not write; give --out a new folder")


def describe(spec: ModelSpec, name: str, scale_m: float) -> dict[str, Any]:
    """The dataset.json of a folder of predictions."""
    tasks: dict[str, dict[str, Any]] = {
        "depth": {"scale_m": scale_m, "max_m": scale_m * MAX_DEPTH_STEPS},
        "normals": {},
        "seg": {"classes": list(spec.classes), "ignore": spec.ignore},
    }
    return {
        "name": name,
        "license": "",
        "camera": None,
        "tasks": {task: tasks[task] for task in spec.tasks},
        "trust": trust_white(spec),
    }


def write_prediction(
    out: Path, stem: str, photo: Path, rgb: np.ndarray, found: Mapping[str, Any], meta: Mapping[str, Any]
) -> None:
    """Write all files of one photo; `found` is what `predict_photo` gave."""
    _copy_photo(out / "image", stem, photo, rgb)
    if "depth" in found:
        scale_m = meta["tasks"]["depth"]["scale_m"]
        # a pixel is never missing in a prediction: less than a step is one step, more than the file holds is its most
        depth_m = found["depth"].clip(scale_m, scale_m * MAX_DEPTH_STEPS)
        write_depth(out / "depth" / f"{stem}.png", depth_m, scale_m)
        _write_npy(out / "npy" / "depth" / f"{stem}.npy", found["depth"])
    if "normals" in found:
        write_normals(out / "normals" / f"{stem}.png", found["normals"])
        _write_npy(out / "npy" / "normals" / f"{stem}.npy", found["normals"].astype(np.float16))
    if "seg" in found:
        write_seg(out / "seg" / f"{stem}.png", found["seg"])
        _write_npy(out / "npy" / "seg" / f"{stem}.npy", found["seg"])
    for task, disagreement in found["trust"].items():
        grey = np.rint(np.clip(disagreement / meta["trust"][task]["white"], 0, 1) * 255).astype(np.uint8)
        write_seg(out / "trust" / task / f"{stem}.png", grey)  # 8-bit grey is all that it asks
    write_image(out / "view" / f"{stem}.png", view(rgb, found, meta))


def _copy_photo(folder: Path, stem: str, photo: Path, rgb: np.ndarray) -> None:
    """The photo itself, so that the folder is complete; its bytes where they are an upright JPEG, else a PNG."""
    with Image.open(photo) as image:
        plain = image.format == "JPEG" and image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1
    target = folder / f"{stem}.{'jpg' if plain else 'png'}"
    if target.exists() and target.resolve() == photo.resolve():
        return  # predicting the folder's own photos again
    if plain:
        write_bytes(target, photo.read_bytes())
    else:
        write_image(target, rgb)


def _write_npy(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    write_bytes(path, buffer.getvalue())


def view(rgb: np.ndarray, found: Mapping[str, Any], meta: Mapping[str, Any]) -> np.ndarray:
    """Photo | depth | normals | seg | trust of each task, side by side: (h, W, 3) uint8 for people."""
    pictures = {"photo": thumbnail_photo(rgb, VIEW_WIDTH)}
    if "depth" in found:
        pictures["depth"] = viz.depth_to_rgb(thumbnail(found["depth"], VIEW_WIDTH))
    if "normals" in found:
        pictures["normals"] = viz.normals_to_rgb(thumbnail(found["normals"], VIEW_WIDTH))
    if "seg" in found:
        colours = viz.palette(len(meta["tasks"]["seg"]["classes"]))
        pictures["seg"] = viz.seg_to_rgb(thumbnail(found["seg"], VIEW_WIDTH), colours)
    for task, disagreement in found["trust"].items():
        small = thumbnail(disagreement, VIEW_WIDTH) / meta["trust"][task]["white"]
        pictures[f"trust of {task} (teal = good)"] = viz.trust_to_rgb(small)
    tile = pictures["photo"].shape
    return viz.contact_sheet([list(pictures.values())], list(pictures), (tile[0], tile[1]))
