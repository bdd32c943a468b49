"""Predictions from the network's grid to the size of a photo or of its ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.data.window import Window
from umadapt.tasks.metrics import choose

Bounds = tuple[int, int, int, int]  # top, bottom, left, right: rows [top:bottom], columns [left:right]
STRIP = 1_000_000  # values of upsampled logits held at once: fits the cache, whatever the size of the photo


def to_tensor(map_: np.ndarray) -> Tensor:
    """A reader's map as a tensor, its channels first: (H, W) as it is, (H, W, C) to (C, H, W)."""
    tensor = torch.from_numpy(np.ascontiguousarray(map_))
    return tensor.permute(2, 0, 1) if tensor.ndim == 3 else tensor


def to_map(resized: Tensor) -> np.ndarray:
    """What `Task.resize` gives as a reader would: depth (H, W) float32, normals (H, W, 3) float32, seg (H, W) uint8."""
    array = resized.cpu().numpy()
    array = array if resized.is_floating_point() else array.astype(np.uint8)
    return np.moveaxis(array, 0, -1) if array.ndim == 3 else array


def resize_map(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) to (C, H, W), bilinear, antialiased where it shrinks."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps.unsqueeze(0), size=size, mode="bilinear", antialias=True).squeeze(0)


def fill(map_: Tensor, window: Window | None, size: tuple[int, int]) -> Tensor:
    """A map of a window (..., h, w) to one of the whole picture (..., H, W), see `Window.nearest`."""
    if window is None:
        return map_
    rows, columns = (torch.from_numpy(at).to(map_.device) for at in window.nearest(size))
    return map_[..., rows, columns]


def resize_labels(logits: Tensor, size: tuple[int, int], never: Sequence[int] = ()) -> Tensor:
    """Argmax of bilinearly resized logits: (C, h, w) to (H, W) int64.

    Works in strips of rows, because 40 classes of a 12-megapixel photo would be 2 GB at once.
    """
    channels, h, w = logits.shape
    height, width = size
    if (h, w) == size:
        return choose(logits, never)
    if height < h or width < w:  # shrinking needs antialiasing, and is small
        return choose(resize_map(logits, size), never)
    last = logits.permute(1, 2, 0).contiguous()  # (h, w, C): four times faster than (C, h, w) on a CPU
    centres = ((torch.arange(height, device=logits.device) + 0.5) * (h / height) - 0.5).clamp(0, h - 1)
    above = centres.long()
    below = (above + 1).clamp(max=h - 1)
    share = (centres - above).view(-1, 1, 1).to(logits.dtype)
    labels = torch.empty(size, dtype=torch.int64, device=logits.device)
    step = max(1, STRIP // (channels * width))
    for top in range(0, height, step):
        rows = slice(top, top + step)
        strip = torch.lerp(last[above[rows]], last[below[rows]], share[rows])  # (s, w, C)
        strip = strip.permute(2, 0, 1).unsqueeze(0)  # (1, C, s, w), channels last in memory
        wide = F.interpolate(strip, size=(strip.shape[2], width), mode="bilinear")
        labels[rows] = choose(wide.squeeze(0), never)
    return labels
