"""Pictures of what a run predicts, for RUN/samples/."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from umadapt.data import viz
from umadapt.data.augment import resize_image, to_sample
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.nets.model import UMAdapt
from umadapt.tasks.resize import to_map
from umadapt.training.run_folder import RunFolder


def has_samples(run: Path, *names: str) -> bool:
    """Whether RUN/samples/NAME.png is there of all names; not where a run was killed after its last step."""
    return all((run / "samples" / f"{name}.png").exists() for name in names)


@torch.inference_mode()
def save_samples(
    model: UMAdapt, run: RunFolder, folder: Folder, ids: tuple[str, ...], name: str, count: int = 4
) -> None:
    """Write RUN/samples/NAME.png: a row each for `count` images spread over `ids`, with all predictions."""
    if process_group.rank():
        return
    domain = run.record.domain
    rows = []
    for image in images_of(model, folder, ids, count):
        maps = maps_of(model, domain, image)
        rows.append([as_rgb(image), *(kind.picture(maps[task]) for task, kind in model.tasks.items())])
    write_image(run.path / "samples" / f"{name}.png", viz.contact_sheet(rows, ["image", *model.tasks]))


@torch.inference_mode()
def save_before_after(
    before: UMAdapt, after: UMAdapt, run: RunFolder, folder: Folder, ids: tuple[str, ...], count: int = 4
) -> Path:
    """Write RUN/samples/before-after.png: as `save_samples`, each task by the source model and by the adapted one, in
    colours that mean the same; where it is."""
    path = run.path / "samples" / "before-after.png"
    if process_group.rank():
        return path
    rows = []
    for image in images_of(after, folder, ids, count):
        old, new = maps_of(before, "source", image), maps_of(after, "target", image)
        row = [as_rgb(image)]
        for task, kind in after.tasks.items():
            scale = max((s for s in map(kind.picture_scale, (old[task], new[task])) if s is not None), default=None)
            row += [kind.picture(old[task], scale), kind.picture(new[task], scale)]
        rows.append(row)
    titles = [f"{task} {when}" for task in after.tasks for when in ("before", "after")]
    write_image(path, viz.contact_sheet(rows, ["image", *titles]))
    return path


def images_of(model: UMAdapt, folder: Folder, ids: tuple[str, ...], count: int) -> Iterator[Tensor]:
    """(3, H, W) in [0, 1], the network's size, of `count` images spread over `ids`."""
    for chosen in [ids[round(i * (len(ids) - 1) / max(1, count - 1))] for i in range(min(count, len(ids)))]:
        yield resize_image(to_sample({"image": folder.read_window(chosen)})["image"], model.spec.size)


def maps_of(model: UMAdapt, domain: str, image: Tensor) -> dict[str, np.ndarray]:
    """What a model sees in an image, on its own grid, by task."""
    model.eval()
    predictions = model(image.unsqueeze(0).to(model.mean.device), domain)
    found = {}
    for task, kind in model.tasks.items():
        physical = kind.to_physical(predictions[task])[0]
        found[task] = to_map(kind.resize(physical, (physical.shape[-2], physical.shape[-1])))
    return found


def as_rgb(image: Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
