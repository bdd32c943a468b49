"""Invariants of the camera model, of the denoiser and of the styles."""

from __future__ import annotations

import numpy as np
import pytest

from umadapt.scenes import camera
from umadapt.scenes.denoise import atrous
from umadapt.scenes.style import kelvin, surfaces

RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0.01, 0.8, (24, 32, 3))


def test_exposure_ignores_units() -> None:
    exposed = IMAGE * camera.exposure_gain(IMAGE)
    np.testing.assert_allclose(exposed, IMAGE * 37 * camera.exposure_gain(IMAGE * 37), rtol=1e-6)
    with_lamp = IMAGE.copy()
    with_lamp[:2, :2] = 1e4
    assert camera.exposure_gain(with_lamp) == pytest.approx(camera.exposure_gain(IMAGE), rel=0.1)


def test_white_balance() -> None:
    cast = IMAGE * [0.9, 0.5, 0.25]
    grey = cast * camera.white_balance_gains(cast, 1.0)
    np.testing.assert_allclose(grey.mean((0, 1)) / grey.mean(), 1, rtol=1e-9)
    np.testing.assert_allclose(camera.white_balance_gains(cast, 0.0), 1, rtol=1e-9)


def test_vignette_darkens_corners_only() -> None:
    v = camera.vignette(np.ones((25, 33, 3)), 0.3)
    assert v[12, 16, 0] == pytest.approx(1.0, abs=1e-3)
    assert 0.68 < v[0, 0, 0] < 0.8
    assert (v <= 1).all()


def test_blur_keeps_constants_and_energy() -> None:
    np.testing.assert_allclose(camera.blur(np.full((9, 12, 3), 0.3), 1.5), 0.3)
    dot = np.zeros((31, 31, 3))
    dot[15, 15] = 1
    soft = camera.blur(dot, 1.0)
    assert soft.sum() == pytest.approx(3)
    assert soft[15, 15, 0] == pytest.approx(1 / (2 * np.pi), rel=0.02)


def test_noise_has_the_stated_variance() -> None:
    noisy = camera.sensor_noise(np.full((200, 200, 3), 0.5), np.random.default_rng(1), electrons=1000, read=0.01)
    assert noisy.mean() == pytest.approx(0.5, abs=1e-3)
    assert noisy.var() == pytest.approx(0.5 / 1000 + 1e-4, rel=0.03)


def test_tone_is_monotone_and_bounded() -> None:
    ramp = np.linspace(0, 8, 400)[:, None, None] * np.ones(3)
    for contrast in (0.0, 0.5):
        y = camera.tone(ramp, contrast)
        assert (np.diff(y[:, 0, 0]) >= -1e-12).all()
        assert y.min() >= 0
        assert y.max() <= 1
    assert camera.srgb(np.array(0.5)) == pytest.approx(0.7354, abs=1e-4)


def test_developed_images() -> None:
    plain = camera.develop_plain(IMAGE)
    photo, quality = camera.develop_photo(IMAGE, np.random.default_rng(3))
    again, _ = camera.develop_photo(IMAGE, np.random.default_rng(3))
    assert plain.dtype == photo.dtype == np.uint8
    assert photo.tobytes() == again.tobytes()
    assert quality in range(*camera.QUALITIES)
    assert 60 < plain.mean() < 180


def test_a_dim_view_is_dark_and_noisy() -> None:
    even = np.full((48, 64, 3), 0.3)
    (good, _), (dim, quality) = (
        develop(even, np.random.default_rng(3)) for develop in (camera.develop_photo, camera.develop_dim)
    )
    again, _ = camera.develop_dim(even, np.random.default_rng(3))
    assert dim.tobytes() == again.tobytes()
    assert quality in range(*camera.QUALITIES)
    assert dim.mean() < 0.5 * good.mean()
    middle = np.s_[16:32, 16:48]
    assert dim[middle].std((0, 1)).mean() > 3 * good[middle].std((0, 1)).mean()
    assert dim[..., 0].mean() > 1.2 * dim[..., 2].mean(), "warm"


def test_denoiser_keeps_what_is_clean_and_removes_noise() -> None:
    points = np.stack([*np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 24)), np.full((24, 32), -2.0)], -1)
    normals = np.broadcast_to([0.0, 0.0, 1.0], points.shape)
    albedo = RNG.uniform(0.2, 0.8, points.shape)
    np.testing.assert_allclose(atrous(albedo * 0.7, albedo, points, normals), albedo * 0.7, rtol=1e-4)
    noisy = albedo * RNG.gamma(16, 1 / 16, (24, 32, 1))
    clean = atrous(noisy, albedo, points, normals)
    assert np.abs(clean / albedo - 1).mean() < 0.25 * np.abs(noisy / albedo - 1).mean()


def test_denoiser_stops_at_edges() -> None:
    points = np.stack([*np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 24)), np.full((24, 32), -2.0)], -1)
    points[:, 16:, 2] = -3.0
    normals = np.broadcast_to([0.0, 0.0, 1.0], points.shape)
    step = np.ones(points.shape)
    step[:, 16:] = 0.05
    np.testing.assert_allclose(atrous(step, np.ones_like(step), points, normals), step, rtol=1e-3)


def test_styles_share_a_palette() -> None:
    names, areas = {"wall0", "wood1", "bulb0", "pane0", "plastic3"}, {"bulb0": 0.3, "pane0": 1.5}
    plain, photo = (surfaces(names, areas, style, (1, 2)) for style in ("synthetic", "photo"))
    assert set(plain) == set(photo) == names
    np.testing.assert_allclose(plain["plastic3"].albedo, photo["plastic3"].albedo)
    assert photo["wood1"].albedo.ndim == 3
    np.testing.assert_allclose(photo["wood1"].albedo.mean((0, 1)), plain["wood1"].albedo, rtol=0.35)
    more = surfaces(names | {"fabric2"}, areas, "photo", (1, 2))
    np.testing.assert_array_equal(more["wood1"].albedo, photo["wood1"].albedo)
    for look in (plain, photo):
        assert look["bulb0"].radiance is not None or look["pane0"].radiance is not None
        assert all(s.albedo.min() > 0 and s.albedo.max() <= 0.9 for s in look.values())


def test_colour_temperature() -> None:
    warm, day, cool = kelvin(2700), kelvin(6500), kelvin(9000)
    np.testing.assert_allclose(day, 1)
    assert warm[0] > 1 > warm[2]
    assert cool[0] < 1 < cool[2]
