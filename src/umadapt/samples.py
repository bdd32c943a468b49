"""Pictures of what a run predicts, for RUN/samples/."""

from __future__ import annotations

import numpy as np
import torch

from umadapt import viz
from umadapt.checkpoint import RunFolder
from umadapt.data.augment import resize_image, to_sample
from umadapt.data.folder import Folder, write_image
from umadapt.nets.model import UMAdapt


@torch.inference_mode()
def save_samples(
    model: UMAdapt, run: RunFolder, folder: Folder, ids: tuple[str, ...], name: str, count: int = 4
) -> None:
    """Write RUN/samples/NAME.png: a row each for `count` images spread over `ids`, with all predictions."""
    model.eval()
    domain = run.config["domain"]
    rows = []
    for chosen in [ids[round(i * (len(ids) - 1) / max(1, count - 1))] for i in range(min(count, len(ids)))]:
        image = resize_image(to_sample({"image": folder.read_image(chosen)})["image"], model.spec.size)
        maps = model(image.unsqueeze(0).to(model.mean.device), domain)
        row = [(image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)]
        for task, kind in model.tasks.items():
            row.append(to_picture(task, kind.to_physical(maps[task])[0].cpu().numpy(), len(model.spec.classes)))
        rows.append(row)
    write_image(run.path / "samples" / f"{name}.png", viz.contact_sheet(rows, ["image", *model.tasks]))


def to_picture(task: str, map_: np.ndarray, classes: int) -> np.ndarray:
    """(C, h, w) of one task in physical units to (h, w, 3) uint8."""
    if task == "depth":
        return viz.depth_to_rgb(map_[0])
    if task == "normals":
        return viz.normals_to_rgb(map_.transpose(1, 2, 0))
    return viz.seg_to_rgb(map_.argmax(0).astype(np.uint8), viz.palette(classes))
