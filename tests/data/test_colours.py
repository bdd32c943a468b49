"""Colours of a batch: what they keep, and that each picture gets its own."""

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from umadapt.data.augment import Augment
from umadapt.data.colours import Colours, draw, paint

SIZE = (20, 24)
ALL = Augment(p_blur=0.5, p_noise=0.5, p_grey=0.3)
NEUTRAL = Colours(np.eye(3), 1.0, 1.0, 0.0, None)


def _images(count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def _colours(seed: int, recipe: Augment = ALL) -> Colours:
    found = draw(np.random.default_rng(seed), recipe, SIZE)
    assert found is not None
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_a_picture_gets_the_same_colours_in_every_batch(seed):
    images, colours = _images(4), [_colours(seed + k) for k in range(4)]
    before = images.clone()
    together = paint(images, colours)
    alone = torch.cat([paint(image[None], [c]) for image, c in zip(images, colours, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)
    assert torch.equal(images, before)
    assert 0 <= together.min() <= together.max() <= 1


def test_strength_zero_leaves_colours():
    assert draw(np.random.default_rng(0), Augment(strength=0), SIZE) is None
    torch.testing.assert_close(paint(_images(), [NEUTRAL]), _images(), rtol=0, atol=1e-6)


def test_grey_stays_grey_but_for_the_white_balance():
    grey = torch.rand(1, 1, *SIZE).expand(1, 3, *SIZE)
    out = paint(grey, [_colours(1, Augment(white_balance=0, p_noise=0))])
    assert (out - out.mean(dim=1)).abs().max() < 1e-5
    always = paint(_images(), [_colours(1, Augment(p_grey=1, p_noise=0))])
    assert (always - always.mean(dim=1)).abs().max() < 1e-5


def test_contrast_is_about_the_mean_grey_and_gamma_an_exponent():
    images = 0.3 + 0.3 * _images(2)
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1).mean((-2, -1)).view(-1, 1, 1, 1)
    flat = paint(images, [NEUTRAL._replace(contrast=0.5)] * 2)
    torch.testing.assert_close(flat, grey + 0.5 * (images - grey), rtol=0, atol=1e-6)
    dark = paint(images, [NEUTRAL._replace(gamma=2.0), NEUTRAL])
    torch.testing.assert_close(dark, torch.stack([images[0] ** 2, images[1]]), rtol=0, atol=1e-6)


def test_a_hue_turns_and_nothing_else_changes():
    turn = Augment(
        brightness=0, contrast=0, saturation=0, gamma=0, white_balance=0, p_grey=0, p_blur=0, p_noise=0, hue_deg=30
    )
    red = torch.full((1, 3, *SIZE), 0.4)
    red[:, 0] = 0.6
    r, g, b = paint(red, [_colours(3, turn)])[0, :, 0, 0].tolist()
    assert r + g + b == pytest.approx(1.4)  # the grey axis stands still
    hue = (colorsys.rgb_to_hsv(r, g, b)[0] + 0.5) % 1 - 0.5
    assert 0.001 < abs(hue) < 31 / 360


def test_blur_and_noise_meet_the_picture_that_has_them():
    noise = np.full((3, *SIZE), 0.1, np.float32)
    images = 0.8 * _images(3)
    out = paint(images, [NEUTRAL, NEUTRAL._replace(blur_px=1.5), NEUTRAL._replace(noise=noise)])
    torch.testing.assert_close(out[0], images[0], rtol=0, atol=1e-6)
    assert out[1].std() < 0.5 * images[1].std()
    torch.testing.assert_close(out[2], images[2] + 0.1, rtol=0, atol=1e-6)
