"""Task-transfer network N->t: the map of one task from the maps of others (Supp. Table 2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from umadapt.nets.activation_checkpointing import SPEND, forward
from umadapt.nets.blocks import CropAs, conv, deconv, initialise, scaled, wide


class TransferNet(nn.Module):
    """Encoder-decoder on task maps; its narrow middle is what keeps it from memorising (Section 3.3.2).

    Args:
        inputs: channels of each task that is read, in order.
        cout: channels of the task that is written.
        width: width factor of all hidden layers.
    """

    economy = SPEND

    def __init__(self, inputs: Mapping[str, int], cout: int, width: float = 1.0):
        super().__init__()

        def c(channels: int) -> int:
            return scaled(channels, width)

        self.stems = nn.ModuleDict(
            {  # C1, C2: one stem a task
                task: nn.Sequential(conv(cin, c(64), 3, norm=False), conv(c(64), c(128), 3, stride=2))
                for task, cin in inputs.items()
            }
        )
        self.encoder = nn.Sequential(
            conv(c(128) * len(inputs), c(256), 3, stride=2, norm=False),  # C3m
            conv(c(256), c(512), 3, stride=2),  # the second row that is named C3m
            conv(c(512), c(512), 3),  # C4m
            conv(c(512), c(1024), 3, stride=2, norm=False),  # EN
        )
        self.decoder = nn.Sequential(
            deconv(c(1024), c(512)),  # C5m
            deconv(c(512), c(512)),  # C6m
            deconv(c(512), c(256)),  # C7m
            deconv(c(256), c(128)),  # C8m
        )
        self.head = nn.Conv2d(c(128), cout, 1)  # C9
        self.crop = CropAs()
        initialise(self)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """(B, C_task, h, w) for each input task to (B, cout, h, w).

        OURS: where a side is no multiple of 16, what the decoder gives beyond it is cut off.
        """
        blocks = [self.read, *self.encoder, *self.decoder, self.head]
        inputs = [maps[task] for task in self.stems]
        return wide(self.crop(forward(self, blocks, *inputs), inputs[0]))

    def read(self, *maps: Tensor) -> Tensor:
        """The stems of all input tasks, side by side."""
        return torch.cat([stem(map_) for stem, map_ in zip(self.stems.values(), maps, strict=True)], dim=1)
