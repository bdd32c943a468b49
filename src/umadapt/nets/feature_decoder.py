"""Decoder of UM-Adapt-B's feature consistency (FCF, after AdaDepth): Res-4f features back from Res-5c."""

from __future__ import annotations

from torch import Tensor, nn

from umadapt.nets.blocks import conv, deconv, initialise, scaled, wide


class FeatureDecoder(nn.Module):
    """(B, cin, h, w) to (B, cout, 2h, 2w), cropped to the size of the features where theirs is odd.

    OURS: one transposed convolution and two plain ones; neither paper gives the layers.

    Args:
        cin: channels of Res-5c.
        cout: channels of Res-4f.
        width: width factor of the hidden layers.
    """

    def __init__(self, cin: int, cout: int, width: float = 1.0):
        super().__init__()
        c = scaled(512, width)
        self.layers = nn.Sequential(deconv(cin, c), conv(c, c, 3), nn.Conv2d(c, cout, 1))
        initialise(self)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return wide(self.layers(x)[..., : size[0], : size[1]])
