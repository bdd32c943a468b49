"""Pictures of what a run predicts, for RUN/samples/."""

from __future__ import annotations

import numpy as np
import torch

from umadapt.data import viz
from umadapt.data.augment import resize_image, to_sample
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.nets.model import UMAdapt
from umadapt.tasks.resize import to_map
from umadapt.training.run_folder import RunFolder


@torch.inference_mode()
def save_samples(
    model: UMAdapt, run: RunFolder, folder: Folder, ids: tuple[str, ...], name: str, count: int = 4
) -> None:
    """Write RUN/samples/NAME.png: a row each for `count` images spread over `ids`, with all predictions."""
    if process_group.rank():
        return
    model.eval()
    domain = run.record.domain
    rows = []
    for chosen in [ids[round(i * (len(ids) - 1) / max(1, count - 1))] for i in range(min(count, len(ids)))]:
        image = resize_image(to_sample({"image": folder.read_window(chosen)})["image"], model.spec.size)
        maps = model(image.unsqueeze(0).to(model.mean.device), domain)
        row = [(image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)]
        for task, kind in model.tasks.items():
            physical = kind.to_physical(maps[task])[0]
            shown = kind.resize(physical, (physical.shape[-2], physical.shape[-1]))
            row.append(kind.picture(to_map(shown)))
        rows.append(row)
    write_image(run.path / "samples" / f"{name}.png", viz.contact_sheet(rows, ["image", *model.tasks]))
