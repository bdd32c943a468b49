"""Task decoder: Res-5c features to a map at sixteen times their size, as FCRN (Laina et al., 3DV 2016)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from umadapt.nets.blocks import UpProjection, initialise, scaled, wide
from umadapt.nets.recompute import SPEND, forward


class Decoder(nn.Module):
    """1x1 convolution + BN, four up-projections, 3x3 convolution: (B, cin, h, w) to (B, cout, 16h, 16w)."""

    economy = SPEND

    def __init__(self, cin: int, cout: int, width: float = 1.0):
        super().__init__()
        c = [scaled(n, width) for n in (1024, 512, 256, 128, 64)]
        self.reduce = nn.Sequential(nn.Conv2d(cin, c[0], 1, bias=False), nn.BatchNorm2d(c[0]))
        self.ups = nn.Sequential(*(UpProjection(a, b) for a, b in itertools.pairwise(c)))
        self.head = nn.Conv2d(c[-1], cout, 3, padding=1)
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)  # OURS: start near the activation's middle, whatever the width

    def forward(self, x: Tensor) -> Tensor:
        return wide(forward(self, [self.reduce, *self.ups, self.head], x))
