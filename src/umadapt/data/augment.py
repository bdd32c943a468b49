"""Resizing that knows what a label is, and random views of a sample.

A sample is a dict of tensors: "image" float32 (3, H, W) in [0, 1], and any of "depth" float32 (1, H, W) metres,
0 = missing; "normals" float32 (3, H, W) unit, 0 = missing; "seg" int64 (H, W), 255 = ignore; "contour" float32
(1, H, W) in [0, 1], what a detector found in the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from umadapt.data.fit import fit_size as fit_size  # the other half of resizing, which needs no torch

Sample = dict[str, Tensor]
IGNORE = 255


@dataclass(frozen=True)
class Augment:
    """How far a random view may go. OURS throughout: the paper names only scale, colour and flip as Eigen et al.

    Ranges `x` of factors are uniform in [1 - x, 1 + x]; `p_*` are probabilities.
    """

    scale: tuple[float, float] = (1.0, 1.4)  # zoom; Eigen et al. use up to 1.5
    flip: float = 0.5  # probability of a mirror image
    brightness: float = 0.3  # factor on all channels
    contrast: float = 0.3  # factor on the distance from the mean grey
    saturation: float = 0.3  # factor on the distance from the pixel's own grey
    hue_deg: float = 9.0  # rotation about the grey axis, either way
    gamma: float = 0.25  # exponent in [1 / (1 + x), 1 + x]
    white_balance: float = 0.1  # factor on each channel
    p_grey: float = 0.05  # grey picture
    p_blur: float = 0.1  # Gaussian blur
    blur_px: float = 1.5  # its largest sigma
    p_noise: float = 0.1  # Gaussian noise
    noise: float = 0.03  # its largest sigma
    strength: float = 1.0  # multiplies every colour range and probability (not scale and flip); 0 = colours as they are
    plain: bool = False  # keep the view as it is before its colours change, under the name "plain"


def to_sample(arrays: Mapping[str, np.ndarray | None], ignore: int = IGNORE) -> Sample:
    """What `Folder.read` gives -> a sample; absent labels are left out, seg id `ignore` becomes 255."""
    sample: Sample = {}
    for name, array in arrays.items():
        if array is None:
            continue
        x = torch.from_numpy(np.ascontiguousarray(array))
        if name == "image":
            sample[name] = x.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        elif name == "normals":
            sample[name] = x.permute(2, 0, 1).contiguous()
        elif name == "depth":
            sample[name] = x[None]
        else:
            seg = x.long()
            sample[name] = seg if ignore == IGNORE else seg.masked_fill_(seg == ignore, IGNORE)
    return sample


# ---------------------------------------------------------------------------------------------------------------------
# Resizing


def resize_image(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., C, H, W) float -> (..., C, h, w), antialiased bilinear: the one resize of photos everywhere."""
    if x.shape[-2:] == size:
        return x
    flat = x.reshape(-1, 1, *x.shape[-2:]) if x.dim() < 3 else x.reshape(-1, *x.shape[-3:])
    small = F.interpolate(flat, size=size, mode="bilinear", antialias=True, align_corners=False)
    return small.reshape(*x.shape[:-2], *size)


def _resize_valid(x: Tensor, valid: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Sum of the valid pixels' weighted values (..., C, h, w), and the valid share of the weight (..., 1, h, w)."""
    both = resize_image(torch.cat([x * valid, valid.to(x.dtype)], dim=-3), size)
    return both[..., :-1, :, :], both[..., -1:, :, :]


def resize_depth(depth_m: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 1, H, W) -> (..., 1, h, w): mean of the valid pixels where they hold half of the weight or more, else 0."""
    if depth_m.shape[-2:] == size:
        return depth_m
    total, share = _resize_valid(depth_m, depth_m > 0, size)
    return torch.where(share >= 0.5, total / share.clamp_min(0.5), 0.0)


def resize_normals(normals: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 3, H, W) -> (..., 3, h, w): mean of the valid pixels, made unit again; 0 where half is missing."""
    if normals.shape[-2:] == size:
        return normals
    total, share = _resize_valid(normals, (normals != 0).any(dim=-3, keepdim=True), size)
    length = total.square().sum(dim=-3, keepdim=True).sqrt()  # torch's norm takes three times as long
    # Opposite normals cancel: below a thousandth of the weight their mean has no direction.
    return torch.where((share >= 0.5) & (length > 1e-3), total / length.clamp_min(1e-3), 0.0)


def resize_seg(seg: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., H, W) integers -> (..., h, w): the pixel under each new pixel's centre (torch's "nearest-exact")."""
    if seg.shape[-2:] == size:
        return seg
    (height, width), (h, w) = seg.shape[-2:], size
    rows = (2 * torch.arange(h, device=seg.device) + 1) * height // (2 * h)  # floor((i + 0.5) H / h) in integers
    columns = (2 * torch.arange(w, device=seg.device) + 1) * width // (2 * w)
    return seg[..., rows[:, None], columns]


class Label(NamedTuple):
    """What a kind of label is as a tensor."""

    resize: Callable[[Tensor, tuple[int, int]], Tensor]
    channels: tuple[int, ...]  # shape before (H, W)
    missing: float  # value of a pixel without a label; an integer where the tensor holds integers
    compact: torch.dtype  # in memory


LABELS = {
    "depth": Label(resize_depth, (1,), 0.0, torch.float32),
    "normals": Label(resize_normals, (3,), 0.0, torch.float16),  # exact to 2^-11, a fortieth of a degree
    "seg": Label(resize_seg, (), IGNORE, torch.uint8),
}
RESIZE = {"image": resize_image, "contour": resize_image, **{name: label.resize for name, label in LABELS.items()}}


def resize_sample(sample: Sample, size: tuple[int, int]) -> Sample:
    """Every entry to `size`, each in its own way."""
    return {name: RESIZE[name](x, size) for name, x in sample.items()}


def resize_labels(sample: Sample, grid: tuple[int, int]) -> Sample:
    """Labels to `grid` (the network's output), the image untouched."""
    return {name: x if name == "image" else RESIZE[name](x, grid) for name, x in sample.items()}


# ---------------------------------------------------------------------------------------------------------------------
# Random views


def crop_window(photo_hw: tuple[int, int], size: tuple[int, int], s: float) -> tuple[int, int]:
    """Height and width in photo pixels of the largest window with the aspect of `size`, divided by s."""
    (height, width), (h, w) = photo_hw, size
    unit = min(height / h, width / w) / s
    return max(1, min(height, round(h * unit))), max(1, min(width, round(w * unit)))


def scale_crop(
    sample: Sample,
    s: float,
    top: int,
    left: int,
    size: tuple[int, int],
    grid: tuple[int, int] | None = None,
    magnification: float = 1.0,
) -> Sample:
    """Zoom by s and crop, in one resampling: the window `crop_window(…, s)` at (top, left) resized to `size`, or for
    labels to `grid` (the network's output) when it is given; labels as seen `nearer` by s * magnification.

    With s < 1 the window is larger than the picture, and (top, left) may be negative: around it the image repeats its
    edge, and nothing is labelled.
    """
    if s < 1:
        sample, top, left = widened(sample, size, s, top, left), 0, 0
    h, w = crop_window(_height_width(sample), size, max(s, 1.0))
    to = {"image": size}
    out = {
        name: RESIZE[name](x[..., top : top + h, left : left + w], to.get(name, grid or size))
        for name, x in sample.items()
    }
    return nearer(out, s * magnification)


def widened(sample: Sample, size: tuple[int, int], s: float, top: int, left: int) -> Sample:
    """The window of a zoom by s < 1: the picture at (-top, -left) of a larger one."""
    height, width = _height_width(sample)
    h, w = wide_window((height, width), size, s)
    rows, columns = torch.arange(top, top + h), torch.arange(left, left + w)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    rows, columns = rows.clamp(0, height - 1)[:, None], columns.clamp(0, width - 1)
    out = {name: x[..., rows, columns] for name, x in sample.items()}
    return {n: x.masked_fill(~inside, LABELS[n].missing) if n in LABELS else x for n, x in out.items()}


def wide_window(photo_hw: tuple[int, int], size: tuple[int, int], s: float) -> tuple[int, int]:
    """Height and width in photo pixels of the largest window with the aspect of `size` in a photo, divided by s < 1."""
    unit = min(photo_hw[0] / size[0], photo_hw[1] / size[1]) / s
    return round(size[0] * unit), round(size[1] * unit)


def nearer(sample: Sample, s: float) -> Sample:
    """The labels of what looks s times larger than it would to one and the same camera.

    It is s times nearer: depth is divided by s, and normals turn to normalise(n_x, n_y, s n_z) (Eigen & Fergus, ICCV
    2015, sec. 4.3).
    """
    out = dict(sample)
    if "depth" in out:
        out["depth"] = out["depth"] / s
    if "normals" in out and s != 1:
        turned = out["normals"] * out["normals"].new_tensor([1.0, 1.0, s]).view(3, 1, 1)
        out["normals"] = turned / turned.square().sum(dim=-3, keepdim=True).sqrt().clamp_min(1e-12)  # 0 stays 0
    return out


def _height_width(sample: Sample) -> tuple[int, int]:
    height, width = next(iter(sample.values())).shape[-2:]
    return height, width


def _place(rng: np.random.Generator, room: int) -> int:
    """Where a window begins that leaves so much room, or, below 0, has so much."""
    return int(rng.integers(room + 1)) if room >= 0 else -int(rng.integers(1 - room))


def hflip(sample: Sample) -> Sample:
    """The mirror image; n_x changes its sign."""
    out = {name: x.flip(-1) for name, x in sample.items()}
    if "normals" in out:
        out["normals"] = out["normals"] * out["normals"].new_tensor([-1.0, 1.0, 1.0]).view(3, 1, 1)
    return out


def random_view(
    sample: Sample,
    size: tuple[int, int],
    rng: np.random.Generator,
    recipe: Augment | None = None,
    grid: tuple[int, int] | None = None,
    magnification: float = 1.0,
) -> Sample:
    """A random window of a sample, with or without labels or image, perhaps mirrored, at the network's input `size`,
    labels at `grid` when it is given and for `magnification` as in `scale_crop`; random by `rng` alone. Colours are as
    they were: see `data.colours`.

    A photo of another aspect ratio is cropped to the network's: a batch needs one size.
    """
    recipe = recipe or Augment()
    height, width = _height_width(sample)
    s = rng.uniform(*recipe.scale)
    h, w = crop_window((height, width), size, s) if s >= 1 else wide_window((height, width), size, s)
    top, left = (_place(rng, whole - part) for whole, part in ((height, h), (width, w)))
    sample = scale_crop(sample, s, top, left, size, grid, magnification)
    return hflip(sample) if rng.random() < recipe.flip else sample
