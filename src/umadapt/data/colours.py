"""Other light and another camera: colours are drawn picture by picture, and painted on a whole batch, where it lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from umadapt.data.augment import Augment

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Colours(NamedTuple):
    """What changes one picture's colours, in this order."""

    matrix: np.ndarray  # (3, 3) on RGB: white balance, hue, saturation and brightness, which are all linear
    contrast: float  # factor on the distance from the mean grey
    gamma: float  # exponent
    blur_px: float  # sigma of a Gaussian; 0 = none
    noise: np.ndarray | None  # (3, H, W), added


def draw(rng: np.random.Generator, recipe: Augment, size: tuple[int, int]) -> Colours | None:
    """Random colours for a picture of `size` (H, W); None where the recipe leaves colours alone."""
    if recipe.strength == 0:
        return None
    matrix = _matrix(rng, recipe)
    contrast = max(0.0, 1 + recipe.strength * recipe.contrast * rng.uniform(-1, 1))
    gamma = (1 + recipe.strength * recipe.gamma) ** rng.uniform(-1, 1)
    blur_px, noise = 0.0, None
    if rng.random() < recipe.strength * recipe.p_blur:
        blur_px = rng.uniform(0.2, 1) * recipe.blur_px
    if rng.random() < recipe.strength * recipe.p_noise:
        noise = rng.standard_normal((3, *size), dtype=np.float32)
        noise *= rng.uniform(0, 1) * recipe.strength * recipe.noise
    return Colours(matrix, contrast, gamma, blur_px, noise)


def paint(images: Tensor, colours: Sequence[Colours]) -> Tensor:
    """(B, 3, H, W) in [0, 1], colours of each -> the same scenes under other light, in [0, 1], on the same device."""
    matrix = images.new_tensor(np.stack([c.matrix for c in colours]))
    contrast = images.new_tensor([c.contrast for c in colours]).view(-1, 1, 1)
    gamma = images.new_tensor([c.gamma for c in colours]).view(-1, 1, 1, 1)
    mean_grey = (images.mean(dim=(-2, -1)) * (images.new_tensor(LUMA) @ matrix)).sum(dim=1).view(-1, 1, 1)
    # colours and contrast are one affine map
    out = torch.baddbmm((1 - contrast) * mean_grey, contrast * matrix, images.flatten(2)).view_as(images)
    out = out.clamp_(0, 1).pow_(gamma)
    for picture, c in zip(out, colours, strict=True):
        if c.blur_px:
            picture.copy_(_blur(picture, c.blur_px))
        if c.noise is not None:
            picture.add_(torch.from_numpy(c.noise).to(picture)).clamp_(0, 1)
    return out


def _matrix(rng: np.random.Generator, recipe: Augment) -> np.ndarray:
    def factor(spread: float) -> float:
        return max(0.0, 1 + recipe.strength * spread * rng.uniform(-1, 1))

    grey = np.tile(LUMA, (3, 1))  # every channel = luma
    balance = np.diag([factor(recipe.white_balance) for _ in range(3)])
    keep = 0.0 if rng.random() < recipe.strength * recipe.p_grey else factor(recipe.saturation)
    saturate = grey + keep * (np.eye(3) - grey)
    angle = math.radians(recipe.strength * recipe.hue_deg) * rng.uniform(-1, 1)
    axis = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # Rodrigues about (1, 1, 1) / sqrt(3)
    rotate = np.eye(3) + math.sin(angle) * axis + (1 - math.cos(angle)) * axis @ axis
    return factor(recipe.brightness) * saturate @ rotate @ balance


def _blur(image: Tensor, sigma: float) -> Tensor:
    """(3, H, W), by a separable Gaussian of `sigma` pixels."""
    radius = max(1, math.ceil(2.5 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None]
    padded = F.pad(image[:, None], (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel[..., None, :]), kernel[..., :, None])[:, 0]
