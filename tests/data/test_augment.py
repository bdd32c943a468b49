"""Resizing against independent references, and the geometry of augmentation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from umadapt.data.augment import (
    Augment,
    crop_window,
    fit_size,
    hflip,
    random_view,
    resize_depth,
    resize_image,
    resize_labels,
    resize_normals,
    resize_sample,
    resize_seg,
    scale_crop,
    to_sample,
)

SIDES = st.integers(1, 40)


def _sample(height=48, width=64, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {
        "image": torch.rand(3, height, width, generator=g),
        "depth": torch.rand(1, height, width, generator=g) * 3 + 1,
        "normals": F.normalize(torch.randn(3, height, width, generator=g), dim=0),
        "seg": torch.randint(0, 40, (height, width), generator=g),
    }


def test_image_resize_matches_pillow():
    x = np.random.default_rng(0).random((45, 61), dtype=np.float32)
    expected = np.asarray(Image.fromarray(x).resize((23, 17), Image.Resampling.BILINEAR))
    found = resize_image(torch.from_numpy(x)[None, None], (17, 23))[0, 0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_seg_resize_is_nearest_exact(height, width, h, w):
    seg = torch.randint(0, 255, (2, height, width))
    centre = (np.arange(h) + 0.5) * height / h, (np.arange(w) + 0.5) * width / w
    rows, columns = (np.floor(c + 1e-9).astype(int) for c in centre)
    np.testing.assert_array_equal(resize_seg(seg, (h, w)), seg.numpy()[:, rows[:, None], columns])


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.floats(0, 1))
def test_depth_resize_never_mixes_holes_in(height, width, h, w, holes):
    depth = torch.rand(1, height, width) + 2
    depth[torch.rand(1, height, width) < holes] = 0
    small = resize_depth(depth, (h, w))
    assert small.shape == (1, h, w)
    assert ((small == 0) | ((small >= 2 - 1e-4) & (small <= 3 + 1e-4))).all()
    if holes == 0:
        torch.testing.assert_close(small, resize_image(depth, (h, w)))


def test_depth_resize_needs_half_of_the_weight():
    depth = torch.zeros(1, 8, 8)
    depth[..., :4] = 2.0
    assert resize_depth(depth, (4, 4))[0, 0].tolist() == [2.0, 2.0, 0.0, 0.0]


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES)
def test_normals_resize_stays_unit(height, width, h, w):
    normals = F.normalize(torch.randn(2, 3, height, width), dim=1)
    normals[:, :, : height // 2] = 0
    length = resize_normals(normals, (h, w)).norm(dim=1)
    assert ((length == 0) | ((length - 1).abs() < 1e-5)).all()


def test_resize_sample_and_labels():
    sample = _sample()
    small = resize_sample(sample, (24, 32))
    assert {k: tuple(v.shape[-2:]) for k, v in small.items()} == dict.fromkeys(sample, (24, 32))
    labels = resize_labels(sample, (12, 16))
    assert labels["image"] is sample["image"]
    torch.testing.assert_close(labels["depth"], resize_depth(sample["depth"], (12, 16)))


@pytest.mark.parametrize(
    ("photo", "net", "expected"),
    [
        ((480, 640), (228, 304), (228, 304)),
        ((100, 139), (228, 304), (228, 304)),  # 4.3 % off
        ((640, 480), (228, 304), (320, 224)),
        ((1080, 1920), (228, 304), (192, 352)),
        ((375, 1242), (256, 512), (192, 672)),
    ],
)
def test_fit_size(photo, net, expected):
    assert fit_size(photo, net) == expected


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_fit_size_is_always_usable(height, width):
    h, w = fit_size((height, width), (228, 304))
    assert (h, w) == (228, 304) or (h % 32 == w % 32 == 0 and min(h, w) >= 32)


def _scene(fx, fy, cx, cy, height, width, n, distance):
    """Depth and viewer-frame normals of the plane n . P = -distance, rays through pixel centres."""
    x = (np.arange(width) + 0.5 - cx) / fx
    y = (np.arange(height) + 0.5 - cy) / fy
    n = np.array(n) / np.linalg.norm(n)
    depth = -distance / (n[0] * x[None] - n[1] * y[:, None] - n[2])
    normals = np.broadcast_to(n[:, None, None], (3, height, width))
    return torch.from_numpy(depth[None]).float(), torch.from_numpy(normals.copy()).float()


@pytest.mark.parametrize("s", [1.0, 1.6, 2.0])
def test_zoomed_plane_is_the_plane_of_the_turned_normal(s):
    height, width, f = 96, 128, 100.0
    depth, normals = _scene(f, f, 64, 48, height, width, (0.3, 0.2, 1.0), 2.0)
    h, w = crop_window((height, width), (height, width), s)
    top, left = (height - h) // 2, (width - w) // 2
    out = scale_crop(
        {"image": torch.zeros(3, height, width), "depth": depth, "normals": normals}, s, top, left, (96, 128)
    )
    z, n = out["depth"][0].double().numpy(), out["normals"][:, 40, 50].double().numpy()
    # Points as the same camera sees them must lie on one plane, whose normal is the turned one.
    x = (np.arange(width) + 0.5) * w / width + left
    y = (np.arange(height) + 0.5) * h / height + top
    x, y = (x - 64) / f * s, (y - 48) / f * s  # the zoomed pixel's ray
    inside = np.s_[8:-8, 8:-8]
    points = np.stack(np.broadcast_arrays(z * x[None], -z * y[:, None], -z))[(slice(None), *inside)].reshape(3, -1)
    along = n @ points
    assert np.ptp(along) / abs(along.mean()) < 0.02
    torch.testing.assert_close(out["normals"].norm(dim=0), torch.ones(96, 128))


def test_zoom_brings_things_nearer():
    sample = _sample(96, 128)
    nearer = scale_crop(sample, 2.0, 20, 30, (48, 64))["depth"]
    torch.testing.assert_close(nearer, sample["depth"][:, 20:68, 30:94] / 2)


def test_scale_one_is_identity():
    sample = _sample()
    for name, x in scale_crop(sample, 1.0, 0, 0, (48, 64)).items():
        torch.testing.assert_close(x, sample[name])


def test_one_resampling_keeps_the_photo_sharp():
    sample = {"image": _sample(200, 200)["image"]}
    found = scale_crop(sample, 2.0, 50, 50, (100, 100))["image"]
    torch.testing.assert_close(found, sample["image"][:, 50:150, 50:150])


def test_flip_twice_is_identity():
    sample = _sample()
    once = hflip(sample)
    torch.testing.assert_close(once["normals"][0, :, 0], -sample["normals"][0, :, -1])
    torch.testing.assert_close(once["depth"][0, :, 0], sample["depth"][0, :, -1])
    for name, x in hflip(once).items():
        torch.testing.assert_close(x, sample[name])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(30, 90), st.integers(30, 90), st.booleans())
def test_random_views_follow_from_the_seed_alone(seed, height, width, labelled):
    sample = _sample(height, width)
    if not labelled:
        sample = {"image": sample["image"]}
    before = {k: v.clone() for k, v in sample.items()}
    out = random_view(sample, (24, 32), np.random.default_rng(seed))
    again = random_view(sample, (24, 32), np.random.default_rng(seed))
    assert out.keys() == sample.keys()
    for name, x in out.items():
        assert x.shape[-2:] == (24, 32)
        assert x.dtype == sample[name].dtype
        torch.testing.assert_close(x, again[name], rtol=0, atol=0)
        torch.testing.assert_close(sample[name], before[name], rtol=0, atol=0)  # the input stays as it was


def test_labels_go_straight_to_the_grid():
    out = random_view(_sample(), (24, 32), np.random.default_rng(0), Augment(), (12, 16))
    assert {k: tuple(v.shape[-2:]) for k, v in out.items()} == {
        "image": (24, 32),
        "depth": (12, 16),
        "normals": (12, 16),
        "seg": (12, 16),
    }


def test_to_sample():
    arrays = {
        "image": np.full((4, 6, 3), 255, np.uint8),
        "depth": np.ones((4, 6), np.float32),
        "normals": None,
        "seg": np.array([[0, 9]], np.uint8),
    }
    sample = to_sample(arrays, ignore=9)
    assert sample["image"].shape == (3, 4, 6)
    assert sample["image"].max() == 1
    assert sample["depth"].shape == (1, 4, 6)
    assert "normals" not in sample
    assert sample["seg"].tolist() == [[0, 255]]


@pytest.mark.parametrize(("s", "top", "left"), [(0.8, -4, -9), (0.5, 0, -64), (0.5, -48, 0)])
def test_zooming_out_shows_the_whole_picture_and_labels_nothing_around_it(s, top, left):
    sample = _sample()
    out = scale_crop(sample, s, top, left, (48, 64))
    assert out["image"].shape == (3, 48, 64)
    seen = (out["seg"] != 255).float()
    assert seen.mean() == pytest.approx(s * s, abs=0.03)
    rows, columns = (torch.nonzero(seen.amax(axis)).squeeze(1) for axis in (1, 0))
    assert int(rows[0]) == pytest.approx(-top * s, abs=1)
    assert int(columns[0]) == pytest.approx(-left * s, abs=1)
    assert ((out["depth"][0] > 0).float() - seen).abs().mean() < 0.05
    there = out["depth"][out["depth"] > 0]
    assert float(there.mean()) == pytest.approx(float(sample["depth"].mean()) / s, rel=0.02)  # it looks farther away
    assert out["image"].isfinite().all()


def test_contours_go_on_as_the_picture_does_when_zoomed_out():
    picture = torch.rand(1, 48, 64, generator=torch.Generator().manual_seed(0))
    out = scale_crop({"image": picture.repeat(3, 1, 1), "contour": picture}, 0.5, -10, -20, (48, 64))
    torch.testing.assert_close(out["contour"], out["image"][:1])


def test_random_views_zoom_out_where_the_recipe_says_so():
    recipe = Augment(scale=(0.6, 0.7))
    for seed in range(20):
        view = random_view(_sample(), (48, 64), np.random.default_rng(seed), recipe, (24, 32))
        assert view["image"].shape == (3, 48, 64)
        assert 0.3 < (view["seg"] != 255).float().mean() < 0.55
