import pytest
import torch
from torch import nn
from torch.nn import functional as F

from umadapt.nets.blocks import LARGE, Deconv, UpProjection, scaled


def unpool(x: torch.Tensor) -> torch.Tensor:
    """Zeros between the values, as FCRN's unpooling: value (i, j) stands at (2i, 2j)."""
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, 2 * h, 2 * w)
    out[:, :, ::2, ::2] = x
    return out


def literal_up_projection(block: UpProjection, x: torch.Tensor) -> torch.Tensor:
    """Laina et al., Figure 2c, as drawn: unpool, two 5x5 convolutions, one 3x3 convolution, sum, ReLU."""
    # a transposed convolution is a convolution of the zero-filled map with the kernel turned by 180 degrees
    kernels = block.up.weight.transpose(0, 1).flip(2, 3)
    main, skip = kernels.split(block.cout)
    norms = block.up_norm

    def norm(y: torch.Tensor, part: slice) -> torch.Tensor:
        mean, var = norms.running_mean, norms.running_var
        assert mean is not None
        assert var is not None
        return F.batch_norm(y, mean[part], var[part], norms.weight[part], norms.bias[part], eps=norms.eps)

    first = F.relu(norm(F.conv2d(unpool(x), main, padding=2), slice(0, block.cout)))
    first = block.norm(block.conv(first))
    second = norm(F.conv2d(unpool(x), skip, padding=2), slice(block.cout, None))
    return F.relu(first + second)


def test_up_projection_equals_unpool_and_convolution() -> None:
    torch.manual_seed(0)
    block = UpProjection(6, 4).eval()
    for m in block.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight)
            nn.init.normal_(m.bias)
            assert m.running_mean is not None
            assert m.running_var is not None
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 6, 5, 7)
    assert block(x).shape == (2, 4, 10, 14)
    torch.testing.assert_close(block(x), literal_up_projection(block, x), atol=1e-5, rtol=1e-4)


def test_scaled_keeps_the_papers_numbers_at_one() -> None:
    assert [scaled(n, 1.0) for n in (64, 1000)] == [64, 1000]
    assert [scaled(n, 0.25) for n in (64, 1024)] == [16, 256]
    assert scaled(64, 0.001) == 8


@pytest.mark.parametrize(("kernel", "padding", "bias"), [(5, 2, False), (3, 1, True)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_deconv_as_a_matrix_product(kernel: int, padding: int, bias: bool, layout: torch.memory_format) -> None:
    """Few positions and many channels: the same map and gradients as the transposed convolution gives."""
    torch.manual_seed(0)
    layer = Deconv(LARGE, 6, kernel, stride=2, padding=padding, output_padding=1, bias=bias).to(memory_format=layout)
    x = torch.randn(2, LARGE, 3, 5, requires_grad=True)
    assert x.shape[0] * x.shape[2] * x.shape[3] < layer.in_channels
    literal = F.conv_transpose2d(x, layer.weight, layer.bias, stride=2, padding=padding, output_padding=1)
    assert layer(x).shape == literal.shape
    torch.testing.assert_close(layer(x), literal, rtol=1e-5, atol=1e-5)
    pull = torch.randn_like(literal)
    ours = torch.autograd.grad((layer(x) * pull).sum(), [x, *layer.parameters()])
    theirs = torch.autograd.grad((literal * pull).sum(), [x, *layer.parameters()])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
