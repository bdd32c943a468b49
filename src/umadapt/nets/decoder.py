"""Task decoders: an image's features to a map of channels that a task makes its prediction of."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.nets.activation_checkpointing import SPEND, chain, forward
from umadapt.nets.blocks import ResizeAs, UpProjection, initialise, scaled, wide
from umadapt.nets.encoder import ALL, COARSE, Features


class FCRN(nn.Module):
    """The paper's, as FCRN (Laina et al., 3DV 2016): 1x1 convolution + BN, four up-projections, dropout, 3x3
    convolution.

    Reads "res5" (B, cin, h, w) alone; gives (B, cout, 16h, 16w).
    """

    reads = COARSE
    economy = SPEND

    def __init__(self, channels: Mapping[str, int], cout: int, width: float = 1.0, dropout: float = 0.0):
        super().__init__()
        c = [scaled(n, width) for n in (1024, 512, 256, 128, 64)]
        self.reduce = nn.Sequential(nn.Conv2d(channels["res5"], c[0], 1, bias=False), nn.BatchNorm2d(c[0]))
        self.ups = nn.Sequential(*(UpProjection(a, b) for a, b in itertools.pairwise(c)))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(c[-1], cout, 3, padding=1)
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)  # OURS: start near the activation's middle, whatever the width

    @staticmethod
    def grid(features: Features) -> tuple[int, int]:
        """The size of the map."""
        h, w = features["res5"].shape[-2:]
        return 16 * h, 16 * w

    def forward(self, features: Features) -> Tensor:
        return wide(forward(self, [self.reduce, *self.ups, chain([self.dropout, self.head])], features["res5"]))


class Skip(nn.Module):
    """OURS: upsample, join with the finer features, convolve, from stride 32 to stride 4 (as U-Net, Ronneberger et al.,
    MICCAI 2015), and once more upsample the map itself.

    Reads "res2" to "res5"; gives (B, cout, 2h, 2w) where "res2" is (B, C, h, w).
    """

    reads = ALL
    economy = SPEND

    def __init__(self, channels: Mapping[str, int], cout: int, width: float = 1.0, dropout: float = 0.0):
        super().__init__()
        c = [scaled(n, width) for n in (128, 96, 64, 48)]
        finer = list(zip([channels[name] for name in ("res4", "res3", "res2")], itertools.pairwise(c), strict=True))
        self.top = _block(channels["res5"], c[0], 1)
        self.skips = nn.ModuleList(_block(cin, after // 2, 1) for cin, (_, after) in finer)
        self.joins = nn.ModuleList(_block(before + after // 2, after, 3) for _, (before, after) in finer)
        self.resize = ResizeAs()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(c[-1], cout, 3, padding=1)
        initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)

    @staticmethod
    def grid(features: Features) -> tuple[int, int]:
        """The size of the map."""
        h, w = features["res2"].shape[-2:]
        return 2 * h, 2 * w

    def forward(self, features: Features) -> Tensor:
        return wide(forward(self, [self.climb], *(features[name] for name in reversed(ALL))))

    def climb(self, coarsest: Tensor, *finer: Tensor) -> Tensor:
        """From the coarsest features past the finer ones to the map."""
        x = self.top(coarsest)
        for skip, join, features in zip(self.skips, self.joins, finer, strict=True):
            beside = skip(features)
            x = join(torch.cat([self.resize(x, beside), beside], 1))
        return F.interpolate(self.head(self.dropout(x)), scale_factor=2.0, mode="bilinear", align_corners=False)


def _block(cin: int, cout: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


DECODERS: dict[str, type[FCRN] | type[Skip]] = {"fcrn": FCRN, "skip": Skip}
