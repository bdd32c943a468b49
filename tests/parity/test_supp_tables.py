"""Layer by layer against Supp. Tables 1 and 2 and against FCRN: output sizes and numbers of parameters."""

from __future__ import annotations

import torch
from torch import nn

from umadapt.nets.contour_decoder import ContourDecoder
from umadapt.nets.decoder import FCRN
from umadapt.nets.encoder import Encoder
from umadapt.nets.joint_critic import LATENT, JointCritic
from umadapt.nets.transfer_net import TransferNet

# Supp. Table 2, read with its output sizes: (kind, kernel, channels out, height, width)
STEM = [("Conv", 3, 64, 128, 160), ("Conv*", 3, 128, 64, 80)]
MIDDLE = [
    ("Conv", 3, 256, 32, 40),
    ("Conv*", 3, 512, 16, 20),
    ("Conv*", 3, 512, 16, 20),
    ("Conv", 3, 1024, 8, 10),
]
TAIL = [
    ("Deconv*", 3, 512, 16, 20),
    ("Deconv*", 3, 512, 32, 40),
    ("Deconv*", 3, 256, 64, 80),
    ("Deconv*", 3, 128, 128, 160),
]


def trace(net: nn.Module, *inputs: object) -> list[tuple[str, int, int, int, int]]:
    """(kind, kernel, channels, height, width) of every convolution that runs, in order; * where a norm follows."""
    rows: list[tuple[str, int, int, int, int]] = []

    def note(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            rows[-1] = (rows[-1][0] + "*", *rows[-1][1:])
        else:
            kind = "Deconv" if isinstance(module, nn.ConvTranspose2d) else "Conv"
            c, h, w = output.shape[1:]
            rows.append((kind, module.kernel_size[0], c, h, w))  # type: ignore[index]

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm)
    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        net.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return rows


def conv_parameters(cin: int, cout: int, kernel: int, norm: bool) -> int:
    return cin * cout * kernel**2 + (2 * cout if norm else cout)  # BN's scale and shift, or a bias


def test_transfer_net_to_seg() -> None:
    net = TransferNet({"depth": 1, "normals": 3}, 40)
    rows = trace(net, {"depth": torch.zeros(1, 1, 128, 160), "normals": torch.zeros(1, 3, 128, 160)})
    assert rows == [*STEM, *STEM, *MIDDLE, *TAIL, ("Conv", 1, 40, 128, 160)]
    expected = sum(conv_parameters(c, 64, 3, False) + conv_parameters(64, 128, 3, True) for c in (1, 3))
    channels = [(256, 256, False), (256, 512, True), (512, 512, True), (512, 1024, False)]
    channels += [(1024, 512, True), (512, 512, True), (512, 256, True), (256, 128, True)]
    expected += sum(conv_parameters(a, b, 3, norm) for a, b, norm in channels) + conv_parameters(128, 40, 1, False)
    assert sum(p.numel() for p in net.parameters()) == expected


def test_transfer_net_to_depth() -> None:
    net = TransferNet({"seg": 40}, 1)
    rows = trace(net, {"seg": torch.zeros(1, 40, 128, 160)})
    assert rows == [*STEM, *MIDDLE, *TAIL, ("Conv", 1, 1, 128, 160)]


def test_encoder_sizes_of_the_paper() -> None:
    net = Encoder("resnet50").eval()
    with torch.no_grad():
        features = net(torch.zeros(1, 3, 228, 304))
    assert {name: tuple(x.shape) for name, x in features.items()} == {
        "res4": (1, 1024, 15, 19),
        "res5": (1, 2048, 8, 10),
    }
    assert sum(p.numel() for p in net.parameters()) == 25_557_032 - (2048 * 1000 + 1000)  # ResNet-50 less its head


def test_decoder_is_fcrns() -> None:
    net = FCRN({"res5": 2048}, 1)
    rows = trace(net, {"res5": torch.zeros(1, 2048, 8, 10)})
    sizes = [(16, 20), (32, 40), (64, 80), (128, 160)]
    ups = [
        row
        for c, (h, w) in zip((512, 256, 128, 64), sizes, strict=True)
        for row in (("Deconv*", 5, 2 * c, h, w), ("Conv*", 3, c, h, w))
    ]
    assert rows == [("Conv*", 1, 1024, 8, 10), *ups, ("Conv", 3, 1, 128, 160)]
    expected = 2048 * 1024 + 2 * 1024 + 64 * 9 + 1
    for cin, c in ((1024, 512), (512, 256), (256, 128), (128, 64)):
        expected += 2 * (cin * c * 25 + 2 * c) + c * c * 9 + 2 * c  # two 5x5 and one 3x3, each with BN
    assert sum(p.numel() for p in net.parameters()) == expected


def test_contour_decoder_has_four_layers() -> None:
    rows = trace(ContourDecoder(2048), torch.zeros(1, 2048, 8, 10))
    assert len(rows) == 4
    assert rows[-1] == ("Deconv", 3, 1, 128, 160)


def test_joint_critic() -> None:
    """Supp. Table 1 with its output sizes; its Conv* and Deconv* have GroupNorm here."""
    critic = JointCritic(2048, [{"normals": 3, "depth": 1}, {"seg": 40}])
    maps = {name: torch.zeros(1, c, 128, 160) for name, c in (("normals", 3), ("depth", 1), ("seg", 40))}
    rows = trace(critic, {LATENT: torch.zeros(1, 2048, 8, 10), **maps})
    assert rows == [
        *STEM,  # C1n, C2n
        *STEM,  # C1d, C2d
        ("Conv", 3, 256, 32, 40),  # C3n+d
        *STEM,  # C1s, C2s
        ("Conv*", 3, 256, 32, 40),  # C3s
        ("Conv", 1, 512, 8, 10),  # C1m, "Deconv" in the table
        ("Deconv*", 3, 512, 16, 20),  # C2m, "stride 1" in the table
        ("Deconv*", 3, 256, 32, 40),  # C3m, which reads C2m
        ("Conv", 1, 512, 32, 40),  # C1c
        ("Conv*", 3, 1024, 16, 20),  # C2c
        ("Conv*", 3, 512, 8, 10),  # C3c
        ("Conv", 1, 1, 8, 10),  # C4c
    ]
    reads = [3, 64, 1, 64, 128 + 128, 40, 64, 128, 2048, 512, 512, 256 + 256 + 256, 512, 1024, 512]
    layers = [(cin, c, k, 3 if kind.endswith("*") else 1) for cin, (kind, k, c, _, _) in zip(reads, rows, strict=True)]
    expected = sum(cin * c * k**2 + c * each for cin, c, k, each in layers)  # a bias, and the norm's scale and shift
    assert sum(p.numel() for p in critic.parameters()) == expected
