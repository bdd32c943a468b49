"""Contour decoder for content regularisation (Section 3.2)."""

from __future__ import annotations

from torch import Tensor, nn

from umadapt.nets.activation_checkpointing import SPEND, forward
from umadapt.nets.blocks import deconv, initialise, scaled, wide


class ContourDecoder(nn.Module):
    """ "Shallow (4 layer)": four stride-2 transposed convolutions, (B, cin, h, w) to (B, 1, 16h, 16w), linear.

    OURS: 256, 128 and 64 channels, because the paper gives none and these follow its other decoders.
    """

    economy = SPEND

    def __init__(self, cin: int, width: float = 1.0):
        super().__init__()
        c = [scaled(n, width) for n in (256, 128, 64)]
        self.ups = nn.Sequential(deconv(cin, c[0]), deconv(c[0], c[1]), deconv(c[1], c[2]))
        self.head = nn.ConvTranspose2d(c[2], 1, 3, stride=2, padding=1, output_padding=1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        return wide(forward(self, [*self.ups, self.head], x))
