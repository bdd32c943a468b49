"""Critic of one task's output map (AdaptSegNet, Tsai et al., CVPR 2018, Section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn

from umadapt.nets.blocks import initialise, wide

SMALLEST = 32  # cells of a side of the maps; of fewer the five layers leave nothing


class OutputCritic(nn.Module):
    """Five 4x4 convolutions with stride 2 and leaky ReLU(0.2): (B, cin, h, w) to logits (B, 1, h/32, w/32)."""

    def __init__(self, cin: int, hidden: int = 64):
        super().__init__()
        layers: list[nn.Module] = []
        for cout in (hidden, 2 * hidden, 4 * hidden, 8 * hidden):
            layers += [nn.Conv2d(cin, cout, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            cin = cout
        self.layers = nn.Sequential(*layers, nn.Conv2d(cin, 1, 4, stride=2, padding=1))
        initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        return wide(self.layers(maps))
