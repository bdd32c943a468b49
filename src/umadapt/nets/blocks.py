"""Layers that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scaled(channels: int, width: float) -> int:
    """A layer's channels under a width factor: a multiple of 8, at least 8; width 1 leaves the paper's number."""
    return channels if width == 1 else max(8, round(channels * width / 8) * 8)


def wide(x: Tensor) -> Tensor:
    """What a network hands to a loss: float32 where autocast has made it bfloat16, else as it is."""
    return x.float() if x.dtype == torch.bfloat16 else x


def conv(cin: int, cout: int, kernel: int, stride: int = 1, *, norm: bool = True) -> nn.Sequential:
    """`Conv*` of Supp. Tables 1 and 2: convolution, BN, leaky ReLU(0.2); plain hidden `Conv` has no BN."""
    layers: list[nn.Module] = [nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(cout))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True))


LARGE = 256  # input channels from which a matrix product can pay


class Deconv(nn.ConvTranspose2d):
    """A transposed convolution, which is one matrix product on CPUs where its weights outweigh the values.

    For the first up-projection of a 228x304 image, 26 million weights for 80 positions, oneDNN spends more time on
    bringing the weights into its own order than on multiplying: the product takes half of the time forward and a third
    backward (docs/speed.md). The sums are the same, in another order.
    """

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        b, c, h, w = input.shape
        size, k, cout = b * h * w, int(self.kernel_size[0]), self.out_channels
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # an exported graph is for any size
        if input.is_cuda or traced or size >= c or c < LARGE or self.groups > 1 or output_size is not None:
            return super().forward(input, output_size)
        kernels = self.weight.permute(0, 2, 3, 1).reshape(c, k * k * cout)  # no copy of a channels-last weight
        columns = kernels.t() @ input.permute(0, 2, 3, 1).reshape(size, c).t()  # what each position adds around it
        columns = columns.view(k * k, cout, b, h * w).permute(2, 1, 0, 3).reshape(b, cout * k * k, h * w)
        stride, padding, more = int(self.stride[0]), int(self.padding[0]), int(self.output_padding[0])
        out = ((h - 1) * stride + k - 2 * padding + more, (w - 1) * stride + k - 2 * padding + more)
        made = F.fold(columns, out, k, padding=padding, stride=stride)
        made = made if self.bias is None else made + self.bias.view(1, -1, 1, 1)
        return made.contiguous(memory_format=torch.channels_last)


def deconv(cin: int, cout: int) -> nn.Sequential:
    """`Deconv*` of Supp. Table 2: transposed convolution to twice the size, BN, leaky ReLU(0.2)."""
    return nn.Sequential(
        Deconv(cin, cout, 3, stride=2, padding=1, output_padding=1, bias=False),
        nn.BatchNorm2d(cout),
        nn.LeakyReLU(0.2, inplace=True),
    )


class UpProjection(nn.Module):
    """Up-projection block of Laina et al. (3DV 2016, Figure 2c): twice the size, `cin` to `cout` channels.

    The original unpools with zeros and applies two 5x5 convolutions, of which three products in four are with
    zeros. The same map is one transposed 5x5 convolution with stride 2, shared by both branches.
    """

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.cout = cout
        self.up = Deconv(cin, 2 * cout, 5, stride=2, padding=2, output_padding=1, bias=False)
        self.up_norm = nn.BatchNorm2d(2 * cout)  # both branches: BN acts on each channel alone
        self.conv = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(cout)

    def forward(self, x: Tensor) -> Tensor:
        both = self.up_norm(self.up(x))  # (B, 2 cout, 2H, 2W)
        main, skip = both.split(self.cout, dim=1)
        return F.relu(self.norm(self.conv(F.relu(main))) + skip)


class ResizeAs(nn.Module):
    """x (B, C, h, w) at the size of `like`, bilinear. A module, so that an export can put another in its place."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


class CropAs(nn.Module):
    """The upper left part of x that has the size of `like`. A module as `ResizeAs` is."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return x[..., : like.shape[-2], : like.shape[-1]]


def initialise(net: nn.Module) -> None:
    """He initialisation of every convolution (OURS: the papers' N(0, 0.01) stalls without pretrained weights)."""
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
        elif isinstance(m, nn.ConvTranspose2d):
            # a stride-2 kernel meets each output with a quarter of its taps: fan-in is channels * k * k / 4
            fan_in = m.in_channels * m.kernel_size[0] * m.kernel_size[1] / 4
            nn.init.normal_(m.weight, std=(2 / fan_in) ** 0.5)
        else:
            continue
        if m.bias is not None:
            nn.init.zeros_(m.bias)
