"""What the soft contour map promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.data.contours import soft_contours


def _step(low=0.3, high=0.7, size=(114, 152)):
    image = torch.full((1, 3, *size), low)
    image[..., size[1] // 2 :] = high
    return image


@pytest.mark.parametrize("grey", [0.0, 0.02, 0.5, 1.0])
def test_flat_images_have_no_contours(grey):
    assert soft_contours(torch.full((2, 3, 50, 70), grey), (25, 35)).max() < 1e-6


@settings(max_examples=15, deadline=None)
@given(st.integers(9, 60), st.integers(9, 60), st.integers(2, 30), st.integers(2, 30))
def test_range_shape_and_mirror(height, width, h, w):
    """Grids of two pixels a side and more: torch's antialiased resize to one column is itself not symmetric in rows."""
    image = torch.rand(2, 3, height, width)
    found = soft_contours(image, (h, w))
    assert found.shape == (2, 1, h, w)
    assert 0 <= found.min() <= found.max() <= 1
    torch.testing.assert_close(soft_contours(image.flip(-1), (h, w)).flip(-1), found, atol=1e-3, rtol=0)
    torch.testing.assert_close(soft_contours(image.flip(-2), (h, w)).flip(-2), found, atol=1e-3, rtol=0)


def test_each_image_is_on_its_own():
    images = torch.rand(3, 3, 40, 50)
    alone = torch.cat([soft_contours(image[None], (20, 25)) for image in images])
    torch.testing.assert_close(soft_contours(images, (20, 25)), alone, atol=1e-4, rtol=0)


def test_step_edge():
    line = soft_contours(_step(), (114, 152))[0, 0, 57]
    assert line[75:77].min() > 0.8
    assert line[:68].max() < 0.02
    assert line[84:].max() < 0.02
    torch.testing.assert_close(soft_contours(_step().mT, (152, 114))[0, 0, :, 57], line, atol=1e-4, rtol=0)


def test_colour_edge_of_equal_lightness():
    image = torch.full((1, 3, 60, 80), 0.5)
    image[:, 0, :, 40:], image[:, 1, :, 40:] = 0.8, 0.2
    assert soft_contours(image, (60, 80))[0, 0, 30, 39:41].min() > 0.5


def test_noise_is_faint_and_hides_no_edge():
    noise = 0.02 * torch.randn(1, 3, 114, 152, generator=torch.Generator().manual_seed(0))
    assert soft_contours(torch.full_like(noise, 0.5) + noise, (57, 76)).max() < 0.1
    assert soft_contours(_step() + noise, (114, 152))[0, 0, :, 75:77].mean() > 0.75


@pytest.mark.parametrize("gain", [0.5, 0.7])
def test_nearly_blind_to_gain(gain):
    bright, dim = soft_contours(_step(), (57, 76)), soft_contours(gain * _step(), (57, 76))
    assert (bright - dim).abs().max() < 0.03


def test_gives_no_gradient():
    assert not soft_contours(torch.rand(1, 3, 20, 20, requires_grad=True), (10, 10)).requires_grad
