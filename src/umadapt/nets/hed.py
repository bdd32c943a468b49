"""HED, a learned detector of contours: what a contour decoder may be taught (`--contours hed`)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (2, 2, 3, 3, 3)  # convolutions of VGG-16's five stages
WIDTHS = (64, 128, 256, 512, 512)  # and their channels
MEAN_BGR = (104.00699, 116.66877, 122.67892)  # of images in [0, 255], as Caffe's VGG-16 has it


class HED(nn.Module):
    """Holistically-nested edge detection (Xie & Tu, ICCV 2015): the convolutions of VGG-16, a side output of each of
    the five stages, and their weighted sum: (B, 3, H, W) RGB in [0, 1] to probabilities of a contour (B, 1, H, W).

    Args:
        widths: channels of the five stages.
    """

    mean: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(3, 1, 1), persistent=False)
        self.stages = nn.ModuleList()
        cin = 3
        for depth, width in zip(DEPTHS, widths, strict=True):
            inputs = (cin, *[width] * (depth - 1))
            self.stages.append(nn.ModuleList(nn.Conv2d(c, width, 3, padding=1) for c in inputs))
            cin = width
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fuse = nn.Conv2d(len(widths), 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = (255 * images.flip(1) - self.mean).contiguous(memory_format=torch.channels_last)
        logits = []
        for k, (stage, side) in enumerate(zip(self.stages, self.sides, strict=True)):
            if k:
                x = F.max_pool2d(x, 2, ceil_mode=True)  # (B, C, H / 2^k, W / 2^k), rounded up
            for conv in stage:  # type: ignore[attr-defined]
                x = F.relu(conv(x))
            logits.append(F.interpolate(side(x), images.shape[-2:], mode="bilinear", align_corners=False))
        return self.fuse(torch.cat(logits, dim=1)).sigmoid()
