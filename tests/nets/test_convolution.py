"""Convolutions under autocast on a CPU: near to float32's, and float32's own without it."""

from __future__ import annotations

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from umadapt.nets.convolution import Depthwise, DepthwiseSame, Pointwise, specialise
from umadapt.nets.encoder import Encoder

LAYERS = {
    "1x1": (lambda: nn.Conv2d(8, 16, 1), Pointwise),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, 2, 1, groups=8), Depthwise),
    "depthwise, same padding": (lambda: Conv2dSame(8, 8, 5, 2, groups=8), DepthwiseSame),
    "3x3": (lambda: nn.Conv2d(8, 16, 3, 1, 1), nn.Conv2d),
    "1x1 with stride": (lambda: nn.Conv2d(8, 16, 1, 2), nn.Conv2d),
}


@pytest.mark.parametrize("name", LAYERS)
def test_each_is_what_it_was(name: str) -> None:
    make, kind = LAYERS[name]
    torch.manual_seed(0)
    layer = make()
    net = nn.Sequential(layer)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    x = torch.randn(2, 8, 9, 11).contiguous(memory_format=torch.channels_last).requires_grad_(True)

    def passed(narrow: bool) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            out = net(x)
        return (out, *torch.autograd.grad(out.float().square().sum(), [x, *net.parameters()]))

    before = passed(False)
    specialise(net)
    assert type(net[0]) is kind
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    for a, b in zip(before, passed(False), strict=True):
        assert torch.equal(a, b), "without autocast nothing changes"
    found = passed(True)
    if kind is not nn.Conv2d:
        assert found[0].dtype == torch.float32
    for a, b in zip(before, found, strict=True):
        torch.testing.assert_close(b.float(), a, rtol=0.05, atol=0.05 * float(a.detach().abs().max()))


def test_backbones_have_them() -> None:
    kinds = {type(module) for module in Encoder("tf_efficientnet_lite0").modules()}
    assert {Pointwise, Depthwise, DepthwiseSame} <= kinds
