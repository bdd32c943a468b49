"""Photos on their way to the network (fitted sizes, batches, decoding ahead of it), and its maps back at their size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from umadapt.config import ModelSpec
from umadapt.data.augment import fit_size, resize_image, to_sample
from umadapt.data.class_map import Names, is_merged, merging
from umadapt.data.folder import Folder
from umadapt.data.prefetch import prefetch
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.inference.enlarge import Enlarged, finite
from umadapt.inference.predictor import Predictor
from umadapt.nets.ensemble import Shares, consensus, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.run_record import RunRecord

T = TypeVar("T")
WORKERS = 2  # threads that decode while the network runs
LARGE = 1_000_000  # pixels of a photo beyond which it is made smaller by strips


def fitted(rgb: np.ndarray, net_size: tuple[int, int]) -> Tensor:
    """A whole photo (H, W, 3) uint8 at the size at which the network sees it (`fit_size`): (3, h, w) in [0, 1]."""
    size = fit_size((rgb.shape[0], rgb.shape[1]), net_size)
    if rgb.shape[0] * rgb.shape[1] <= LARGE:
        return resize_image(to_sample({"image": rgb})["image"], size)
    step = max(1, LARGE // rgb.shape[1])
    strips = (to_sample({"image": rgb[top : top + step]})["image"] for top in range(0, len(rgb), step))
    narrow = torch.cat([resize_image(strip, (strip.shape[1], size[1])) for strip in strips], dim=1)  # (3, H, w)
    return resize_image(narrow, size)


def run_model(model: UMAdapt, images: Tensor, domain: str, shares: Shares | None = None) -> dict[str, Tensor]:
    """(B, 3, H, W) in [0, 1], on any device, to task -> prediction in network units, on the model's device.

    Args:
        shares: of witnesses to merge the predictions with, see `umadapt.nets.ensemble`; default: none.
    """
    device = next(model.parameters()).device
    images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
    if shares is None:
        return model(images, domain)
    return consensus(model, lambda x: model.encode(x, domain), images, shares)


def magnification(spec: ModelSpec, image: Tensor, rgb: np.ndarray, focal: float | None) -> float:
    """`ModelSpec.magnification` of a photo (H, W, 3) of that focal length, seen by the network as image (3, h, w)."""
    h, w = image.shape[-2:]
    return spec.magnification(None if focal is None else focal * w / rgb.shape[1], (h, w))


def merge_classes(model: UMAdapt, names: Names, run: object) -> None:
    """Have a model predict the classes that a map makes of its own; nothing where it is empty, or it has them already.

    Raises:
        UserError: the map names others, or the model predicts none.
    """
    if names and model.class_task is None:
        raise UserError(f"--class-map merges classes, and {run} predicts {', '.join(model.tasks)} alone")
    if names and not is_merged(names, model.spec.classes):
        model.merge_classes(*merging(names, model.spec.classes, run))


def voting(model: UMAdapt, record: RunRecord, witnesses: Sequence[str]) -> Shares | None:
    """The shares of these witnesses (`shares_of`) as `run_model` takes them: None where there are none."""
    return shares_of(record.witnesses, model.tasks, witnesses) if witnesses else None


def own_photos(ids: Sequence[str], batch: int) -> Sequence[str]:
    """This rank's share of photos, in blocks of `batch`: the network sees the same batches on any number of ranks."""
    starts = process_group.share_of(range(0, len(ids), batch), process_group.rank(), process_group.size())
    return ids[starts.start : starts.stop]


def physical_maps(model: UMAdapt, predictions: Mapping[str, Tensor], magnifications: Sequence[float]) -> Maps:
    """Predictions in network units (B, C, h, w) to metres, unit vectors and logits, as each photo's own camera sees
    them; `magnifications` are the photos' (`ModelSpec.magnification`)."""
    s = torch.tensor(magnifications).view(-1, 1, 1, 1)
    tasks = model.tasks
    return {name: tasks[name].to_physical(tasks[name].shrink(map_, s.to(map_))) for name, map_ in predictions.items()}


def predict_photo(
    model: UMAdapt, domain: str, rgb: np.ndarray, focal: float | None = None, shares: Shares | None = None
) -> dict[str, Any]:
    """Predict every task on one photo, at the photo's own size.

    Args:
        model: in eval mode.
        domain: "source" or "target".
        rgb: (H, W, 3) uint8; the whole photo goes in, at the size that `fit_size` gives.
        focal: its focal length in pixels; None = unknown (see `ModelSpec.magnification`).
        shares: as in `run_model`.

    Returns:
        "depth" (H, W) float32 metres, "normals" (H, W, 3) float32 unit vectors, "seg" (H, W) uint8 class ids,
        "edges" (H, W) float32 probabilities, as far as the model has the task, and "trust": {task: (H, W) float32},
        the disagreement of the task's prediction and what the stage-1 transfer net makes of the other tasks
        (low = good): a share of the depth, 1 - cos of normals, nats of seg and edges.

    Raises:
        UserError: a prediction is not finite.
    """
    found = look_at(model, domain, rgb, focal, shares)
    trust = {name: np.asarray(map_) for name, map_ in found.pop("trust").items()}
    return {name: np.asarray(map_) for name, map_ in found.items()} | {"trust": trust}


@torch.inference_mode()
def look_at(
    model: UMAdapt, domain: str, rgb: np.ndarray, focal: float | None = None, shares: Shares | None = None
) -> dict[str, Any]:
    """`predict_photo`, each map as an `Enlarged`, whose rows are made when they are asked for."""
    size = (rgb.shape[0], rgb.shape[1])
    image = fitted(rgb, model.spec.size)
    predictions = run_model(model, image.unsqueeze(0), domain, shares)
    result: dict[str, Any] = {}
    for name, physical in physical_maps(model, predictions, [magnification(model.spec, image, rgb, focal)]).items():
        result[name] = enlarged(name, physical[0], model.tasks[name].kind, size)
    result["trust"] = {}
    for name, cross in model.cross(predictions).items():
        disagreement = model.tasks[name].energy_map(cross, predictions[name])  # (1, h, w)
        result["trust"][name] = enlarged(f"trust of {name}", disagreement, "trust", size)
    return result


def enlarged(name: str, grid: Tensor, kind: str, size: tuple[int, int]) -> Enlarged:
    """A map (C, h, w) of the network at a photo's size. Raises UserError where it is not finite."""
    return Enlarged(finite(name, grid.float().cpu().numpy()), kind, size)


def predictor_of(model: UMAdapt, record: RunRecord, witnesses: Sequence[str] = ()) -> Predictor:
    """A model, in eval mode, and its record as a predictor, by itself or merged with witnesses."""
    shares = voting(model, record, witnesses)
    trust = {task: model.tasks[task].trust for task in model.graph}
    white = {task: {"white": shown.white, "unit": shown.unit} for task, shown in trust.items()}
    infer = functools.partial(look_at, model, record.domain, shares=shares)
    return Predictor(model.tasks, white, infer, model.spec.fov)


class Seen(NamedTuple, Generic[T]):
    """Photos of one size as a network sees them."""

    ids: list[str]
    images: Tensor  # (B, 3, h, w) in [0, 1]
    magnifications: list[float]  # see `ModelSpec.magnification`
    extras: list[T]  # what was read beside each


def photo_batches(
    folder: Folder,
    ids: Sequence[str],
    spec: ModelSpec,
    batch: int,
    read: Callable[[str, tuple[int, int]], T],
    progress: bool = False,
) -> Iterator[Seen[T]]:
    """Whole photos of a folder at their fitted size, those of one size together; of several ranks, this one's share.

    Each block of `batch` photos makes a batch, or one for each size in it, so that the batches are the same on any
    number of ranks. Of photos with a window that is the image. `read` is called by threads, with the id and the whole
    photo's own size (H, W).
    """

    def load(id: str) -> tuple[Tensor, float, T]:
        photo = folder.read_image(id)
        seen = folder.crop(id, photo)
        image = fitted(seen, spec.size)
        focal = folder.focal_of(id, photo.shape[1]) if spec.focal else None
        return image, magnification(spec, image, seen, focal), read(id, photo.shape[:2])

    mine = own_photos(ids, batch)
    waiting: dict[tuple[int, ...], list[tuple[str, Tensor, float, T]]] = {}  # by size
    for number, (id, (image, s, extra)) in enumerate(read_ahead(load, mine, progress, ahead=2 * batch), 1):
        waiting.setdefault(tuple(image.shape), []).append((id, image, s, extra))
        if number % batch == 0 or number == len(mine):
            for group in waiting.values():
                names, images, magnifications, extras = map(list, zip(*group, strict=True))
                yield Seen(names, torch.stack(images), magnifications, extras)
            waiting.clear()


def read_ahead(
    load: Callable[[str], T], ids: Sequence[str], progress: bool = False, ahead: int = 8
) -> Iterator[tuple[str, T]]:
    """(id, load(id)) in order, loaded by threads at most `ahead` of the consumer; a bar on stderr if `progress`."""
    hidden = not progress or process_group.rank() > 0
    with (
        closing(prefetch(load, ids, WORKERS, ahead)) as loaded,
        tqdm(total=len(ids), unit="photo", disable=hidden, leave=False) as bar,
    ):
        for id, found in zip(ids, loaded, strict=True):
            yield id, found
            bar.update()
