"""Joint critic of UM-Adapt-B: latent features and all task maps in, a map of scores out (Supp. Table 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.nets.blocks import initialise, scaled, wide

Tuples = Mapping[str, Tensor]  # LATENT and task names -> (B, C, ...)
LATENT = "latent"


class JointCritic(nn.Module):
    """Hourglass patch critic. Its score map has the size of the latent features: 8x10 for 228x304 images.

    Three rows of the table contradict its own output sizes, which are followed: C1m is a convolution, C2m has stride
    2, and C3m reads C2m. OURS: a group of one task is merged with a norm, as C3s is, one of several without, as C3n+d,
    because the table has no other tasks. OURS: GroupNorm(1) for BatchNorm, because the gradient penalty is one of
    single samples (Gulrajani et al., NIPS 2017, Section 4).

    Args:
        latent: channels of the Res-5c features.
        groups: tasks that are merged before the rest (the paper's: normals and depth; seg), each task -> channels.
        width: width factor of all hidden layers.
    """

    def __init__(self, latent: int, groups: Sequence[Mapping[str, int]], width: float = 1.0):
        super().__init__()

        def c(channels: int) -> int:
            return scaled(channels, width)

        self.stems = nn.ModuleDict(
            {  # C1, C2: one stem a task
                task: nn.Sequential(layer(cin, c(64), 3, norm=False), layer(c(64), c(128), 3, 2))
                for group in groups
                for task, cin in group.items()
            }
        )
        self.groups = [tuple(group) for group in groups]
        self.merges = nn.ModuleList(  # C3n+d (plain), C3s (normalised)
            layer(c(128) * len(group), c(256), 3, 2, norm=len(group) == 1) for group in groups
        )
        self.latent = nn.Sequential(
            layer(latent, c(512), 1, norm=False),  # C1m
            up(c(512), c(512)),  # C2m
            up(c(512), c(256)),  # C3m
        )
        self.head = nn.Sequential(
            layer(c(256) * (len(groups) + 1), c(512), 1, norm=False),  # C1c
            layer(c(512), c(1024), 3, 2),  # C2c
            layer(c(1024), c(512), 3, 2),  # C3c
            nn.Conv2d(c(512), 1, 1),  # C4c
        )
        initialise(self)

    def forward(self, tuples: Tuples) -> Tensor:
        """LATENT (B, C, h, w) and a map (B, C, 16h, 16w) of each task, encoded, to scores (B, 1, h, w).

        Maps may be a little smaller, as those of decoders with skips at sizes that are no multiples of 32.
        """
        parts = [
            merge(torch.cat([self.stems[task](tuples[task]) for task in group], dim=1))
            for group, merge in zip(self.groups, self.merges, strict=True)
        ]
        latent, size = self.latent(tuples[LATENT]), parts[0].shape[-2:]
        if latent.shape[-2:] != size:
            latent = F.interpolate(latent, size, mode="bilinear", align_corners=False)
        return wide(self.head(torch.cat([*parts, latent], dim=1)))


def layer(cin: int, cout: int, kernel: int, stride: int = 1, *, norm: bool = True) -> nn.Sequential:
    """`Conv*` of Supp. Table 1, and with norm=False its `Conv`."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2)]
    return nn.Sequential(*layers, *([nn.GroupNorm(1, cout)] if norm else []), nn.LeakyReLU(0.2))


def up(cin: int, cout: int) -> nn.Sequential:
    """`Deconv*` of Supp. Table 1: twice the size."""
    deconv = nn.ConvTranspose2d(cin, cout, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(deconv, nn.GroupNorm(1, cout), nn.LeakyReLU(0.2))


def gradient_penalty(critic: Callable[[Tuples], Tensor], reals: Tuples, fakes: Tuples, epsilon: Tensor) -> Tensor:
    """Mean of (|gradient of the score| - 1)^2 at points between real and fake (Gulrajani et al., NIPS 2017).

    Args:
        critic: scores of tuples, (B, ...); a sample's score is the mean of its map.
        reals, fakes: tuples of the same shapes, without gradients.
        epsilon: (B,) in [0, 1], the share of the real sample; one for all inputs of a sample.
    """
    between = {}
    for name, real in reals.items():
        share = epsilon.view(-1, *[1] * (real.dim() - 1))
        between[name] = (share * real + (1 - share) * fakes[name]).requires_grad_(True)
    scores = critic(between).flatten(1).mean(1)
    grads = torch.autograd.grad(scores.sum(), list(between.values()), create_graph=True)
    squares = torch.stack([grad.flatten(1).square().sum(1) for grad in grads]).sum(0)  # (B,)
    return ((squares + 1e-12).sqrt() - 1).square().mean()
