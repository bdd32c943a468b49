"""A soft multi-scale edge map: the download-free target of the contour decoder.

OURS: the paper trains C_contour on a learned detector's maps that cannot be recovered (its reference [60]). This is a
classical stand-in: colour gradients at three scales, relative to local brightness and to local texture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from umadapt.data.augment import resize_image

SCALES = (1, 2, 4)  # the image is reduced by these; each sees a Gaussian derivative of sigma 1 pixel of its own
EDGE = 0.05  # response of half an edge: a step of 12 % of the local brightness
TEXTURE = 1.0  # how strongly the neighbourhood's mean response raises that
DARK = 0.05  # brightness added to the local one, so that noise in shadows is no edge
RADIUS = 3  # of the derivative's kernel, pixels
SHARPNESS = 0.5  # exponent of the product over scales; 1/3 would be the geometric mean, which keeps much wood grain


def _opponent(image: Tensor) -> Tensor:
    """(B, 3, H, W) RGB -> lightness, red-green, yellow-blue; grey g has lightness g, and chroma counts about half."""
    r, g, b = image.unbind(1)
    return torch.stack([(r + g + b) / 3, (r - g) * 0.35, (r + g - 2 * b) * 0.2], dim=1)


def _derivative(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W), length of the Gaussian-derivative gradient over all channels, sigma 1."""
    t = torch.arange(-RADIUS, RADIUS + 1, dtype=x.dtype, device=x.device)
    smooth = torch.exp(-t * t / 2)
    smooth = smooth / smooth.sum()
    across = smooth[:, None] * (t * smooth)[None]  # d/dx; its transpose is d/dy
    flat = F.pad(x.flatten(0, 1)[:, None], (RADIUS,) * 4, mode="replicate")
    both = F.conv2d(flat, torch.stack([across, across.T])[:, None])  # (B 3, 2, H, W)
    return both.square().sum(dim=1).view_as(x).sum(dim=1, keepdim=True).sqrt()


def _local_mean(x: Tensor, radius: int) -> Tensor:
    return F.avg_pool2d(F.pad(x, (radius,) * 4, mode="replicate"), 2 * radius + 1, stride=1)


@torch.no_grad()
def soft_contours(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 1, h, w) in [0, 1]: 0 where flat, near 1 on strong edges that last over scales.

    Commutes with mirroring; nearly blind to a global gain of brightness.
    """
    height, width = image.shape[-2:]
    colours = _opponent(image)
    agreed = torch.ones_like(image[:, :1])
    for scale in SCALES:
        reduced = resize_image(colours, (-(-height // scale), -(-width // scale)))
        edge = _derivative(reduced) / (_local_mean(reduced[:, :1], 4) + DARK)  # contrast, as Weber's
        power = edge.square()
        floor = EDGE**2 + (TEXTURE * _local_mean(edge, 6)).square()
        response = power / (power + floor)
        agreed = agreed * resize_image(response, (height, width)).clamp(0, 1)
    # A product: one scale that sees nothing vetoes (shading at the fine end, noise and thin lines at the coarse one).
    return resize_image(agreed.pow(SHARPNESS), grid).clamp(0, 1)
