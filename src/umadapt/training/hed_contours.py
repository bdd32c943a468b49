"""`--contours hed`: HED's contour map of every stored photo, computed once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from umadapt.data.augment import resize_image, to_sample
from umadapt.data.cached import cached_contours
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.nets.hed import HED
from umadapt.training.pretrained_hed import load_hed, weights_file

METHOD = 1  # of what is kept: another number when the same weights come to give other maps
MOST = 321 * 481  # pixels of BSDS500, which HED was trained on: larger photos are shrunk to as many


class HedContours:
    """A detector of contours for `Batches`.

    Args:
        device: where HED runs.

    Raises:
        UserError: its weights are not installed.
    """

    def __init__(self, device: torch.device | str):
        self.device = torch.device(device)
        self.file = weights_file()
        self.name = f"hed {METHOD} {hashlib.sha256(self.file.read_bytes()).hexdigest()}"

    @cached_property
    def net(self) -> HED:
        """HED, loaded only where a map is not kept yet."""
        return load_hed(self.file).to(self.device).to(memory_format=torch.channels_last)

    def __call__(self, folder: Folder, id: str) -> Tensor:
        """The contour map (1, h, w) in [0, 1] of a photo's window, at its aspect, of MOST pixels at the most."""
        window = folder.window_of(id)
        name = self.name if window is None else f"{self.name} {window}"
        kept = cached_contours(folder.image_path(id), name, lambda: self.detect(folder.read_window(id)))
        return torch.from_numpy(kept)[None].float() / 255

    @torch.inference_mode()
    def detect(self, photo: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (h, w) uint8, 255 times the probability of a contour."""
        image = to_sample({"image": photo})["image"].to(self.device)
        height, width = photo.shape[:2]
        factor = min(1.0, (MOST / (height * width)) ** 0.5)
        image = resize_image(image, (max(1, round(height * factor)), max(1, round(width * factor))))
        return (self.net(image[None])[0, 0] * 255).round().to(torch.uint8).cpu().numpy()

    def prepare(self, photos: Sequence[tuple[Folder, str]]) -> None:
        """Make the maps of these photos that are not kept yet, of every rank a share."""
        mine = process_group.share_of(photos, process_group.rank(), process_group.size())
        hidden = process_group.rank() > 0
        for folder, id in tqdm(mine, "contours", unit="photo", dynamic_ncols=True, mininterval=1, disable=hidden):
            self(folder, id)
        process_group.barrier()
