"""All tasks on photos of any size, with trust maps; the output folder is a data folder of its own.

OUT/
  image/STEM.jpg|png      the photo, upright
  TASK/STEM.png           depth, normals, seg: the folder format; edges: 8-bit grey, 1 + 254 * probability
  npy/depth/STEM.npy      float32 (H, W) metres
  npy/normals/STEM.npy    float16 (H, W, 3) unit vectors
  npy/seg/STEM.npy        uint8 (H, W) class ids
  npy/edges/STEM.npy      float16 (H, W) probabilities
  trust/TASK/STEM.png     8-bit grey, low = good: value / 255 * "white" of dataset.json is the disagreement
  view/STEM.png           photo | each task | trust, for people
  dataset.json            classes, depth scale, and what "white" stands for
"""

from __future__ import annotations

import io
import json
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
from umadapt import ranks, viz
from umadapt.checkpoint import load_model
from umadapt.config import ModelSpec
from umadapt.data.batches import share_of
from umadapt.data.files import Stored
from umadapt.data.folder import Folder, read_photo, write_bytes, write_image, write_json, write_seg
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.photos import fitted, run_model, thumbnail, thumbnail_photo
from umadapt.tasks import TASKS, Task, make_tasks
from umadapt.tasks.resize import resize_map, to_map

VIEW_WIDTH = 400  # of each of the pictures for people, in pixels


@torch.inference_mode()
def predict_photo(model: UMAdapt, domain: str, rgb: np.ndarray) -> dict[str, Any]:
    """Predict every task on one photo, at the photo's own size.

    Args:
        model: in eval mode.
        domain: "source" or "target".
        rgb: (H, W, 3) uint8; the whole photo goes in, at the size that `fit_size` gives.

    Returns:
        "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
        "edges" (H, W) float32 probabilities, as far as the model has the task, and "trust": {task: (H, W) float32},
        the disagreement of the task's prediction and what the stage-1 transfer net makes of the other tasks
        (low = good): metres of depth, 1 - cos of normals, nats of seg and edges.

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
        result[name] = to_map(task.resize(physical, size))
    result["trust"] = {}
    for name, cross in model.cross(predictions).items():
        task = model.tasks[name]
        disagreement = task.energy_map(cross, predictions[name]) * task.trust.factor  # (1, h, w)
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

    OURS: fixed for a run, so that maps of different photos compare; each task's file says why it is what it is.
    """
    kinds = make_tasks(spec)
    return {task: {"white": kinds[task].trust.white, "unit": kinds[task].trust.unit} for task in spec.graph}


def find_photos(photos: Sequence[Path]) -> dict[str, Stored]:
    """Stem -> file, of photo files and folders (plain, DATA, or DATA:SPLIT).

    Raises:
        UserError: nothing there, or two photos of one stem (their predictions would overwrite each other).
    """
    files: list[Stored] = []
    for path in photos:
        if path.is_file():
            files.append(path)
        else:
            folder = Folder(path)
            files += [folder.image_path(id) for id in folder.ids]
    found: dict[str, Stored] = {}
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
    if not ranks.rank():
        refuse_foreign(config.out)
    model, stored = load_model(config.run, config.device)
    meta = describe(model.spec, config.out.resolve().name)
    if not ranks.rank():
        write_json(config.out / "dataset.json", meta)  # first: marks the folder as ours, also when interrupted
    ranks.barrier()
    mine = share_of(list(photos.items()), ranks.rank(), ranks.size())
    bad: list[str] = []
    for stem, path in tqdm(mine, unit="photo", file=sys.stderr, leave=False, disable=ranks.rank() > 0):
        try:
            rgb = read_photo(path)
        except UserError as error:
            bad.append(str(error))
            continue
        found = predict_photo(model, stored["domain"], rgb)
        write_prediction(config.out, stem, path, rgb, found, model.tasks)
    bad = [line for part in ranks.gather(bad) for line in part]
    print(f"{len(photos) - len(bad)} of {len(photos)} photos predicted into {config.out}")
    for line in bad if not ranks.rank() else ():
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
    if not ours and any((out / name).exists() for name in ("dataset.json", "image", *TASKS)):
        raise UserError(f"{out} holds a data set that predict did not write; give --out a new folder")


def describe(spec: ModelSpec, name: str) -> dict[str, Any]:
    """The dataset.json of a folder of predictions."""
    return {
        "name": name,
        "license": "",
        "camera": None,
        "tasks": {task: kind.stored() for task, kind in make_tasks(spec).items()},
        "trust": trust_white(spec),
    }


def write_prediction(
    out: Path, stem: str, photo: Stored, rgb: np.ndarray, found: Mapping[str, Any], tasks: Mapping[str, Task]
) -> None:
    """Write all files of one photo; `found` is what `predict_photo` gave."""
    _copy_photo(out / "image", stem, photo, rgb)
    for name, task in tasks.items():
        task.write(out / name / f"{stem}.png", found[name])
        _write_npy(out / "npy" / name / f"{stem}.npy", found[name].astype(task.npy, copy=False))
    for name, disagreement in found["trust"].items():
        grey = np.rint(np.clip(disagreement / tasks[name].trust.white, 0, 1) * 255).astype(np.uint8)
        write_seg(out / "trust" / name / f"{stem}.png", grey)  # 8-bit grey is all that it asks
    write_image(out / "view" / f"{stem}.png", view(rgb, found, tasks))


def _copy_photo(folder: Path, stem: str, photo: Stored, rgb: np.ndarray) -> None:
    """The photo itself, so that the folder is complete; its bytes where they are an upright JPEG, else a PNG."""
    data = photo.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        plain = image.format == "JPEG" and image.mode in ("RGB", "L") and image.getexif().get(0x0112, 1) == 1
    target = folder / f"{stem}.{'jpg' if plain else 'png'}"
    if target.exists() and target.resolve() == photo.resolve():
        return  # predicting the folder's own photos again
    if plain:
        write_bytes(target, data)
    else:
        write_image(target, rgb)


def _write_npy(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    write_bytes(path, buffer.getvalue())


def view(rgb: np.ndarray, found: Mapping[str, Any], tasks: Mapping[str, Task]) -> np.ndarray:
    """Photo | each task | trust of each task, side by side: (h, W, 3) uint8 for people."""
    pictures = {"photo": thumbnail_photo(rgb, VIEW_WIDTH)}
    for name, task in tasks.items():
        pictures[name] = task.picture(thumbnail(found[name], VIEW_WIDTH))
    for name, disagreement in found["trust"].items():
        small = thumbnail(disagreement, VIEW_WIDTH) / tasks[name].trust.white
        pictures[f"trust of {name} (teal = good)"] = viz.trust_to_rgb(small)
    tile = pictures["photo"].shape
    return viz.contact_sheet([list(pictures.values())], list(pictures), (tile[0], tile[1]))
