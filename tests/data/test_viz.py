"""Pictures of maps: shapes, missing values, and colours that can be told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from umadapt.data import viz

ANY = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, (4, 5), elements=ANY), hnp.arrays(np.float32, (4, 5, 3), elements=ANY))
def test_pictures_of_anything(x, vectors):
    pictures = [viz.depth_to_rgb(x), viz.depth_to_rgb(x, 10.0), viz.trust_to_rgb(x), viz.normals_to_rgb(vectors)]
    for picture in pictures:
        assert picture.shape == (4, 5, 3)
        assert picture.dtype == np.uint8
    missing = ~(np.isfinite(x) & (x > 0))
    assert (pictures[0][missing] == 0).all()
    assert pictures[1][~missing].any(axis=-1).all()  # what is there is never black


def test_depth_gets_darker_with_distance():
    picture = viz.depth_to_rgb(np.linspace(0.01, 10, 100)[None], 10.0)[0]
    lightness = picture @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(lightness) < 0.5).all()
    assert lightness[0] > 230
    assert lightness[-1] < 60


def test_normals_colours():
    normals = np.array([[[0, 0, 1], [1, 0, 0], [0, 0, 0]]], np.float32)
    np.testing.assert_array_equal(viz.normals_to_rgb(normals)[0], [[128, 128, 255], [255, 128, 128], [0, 0, 0]])


@pytest.mark.parametrize("n", [0, 1, 19, 40, 255])
def test_palette(n):
    colours = viz.palette(n)
    assert colours.shape == (n, 3)
    np.testing.assert_array_equal(colours, viz.palette(n))
    np.testing.assert_array_equal(colours, viz.palette(n + 3)[:n])
    assert len({tuple(c) for c in colours.tolist()}) == n
    assert colours.any(axis=-1).all()
    if n > 1:
        assert np.abs(np.diff(colours.astype(int), axis=0)).max(axis=-1).min() > 60


def test_seg_colours():
    colours = viz.palette(3)
    for dtype in (np.uint8, np.int64):
        picture = viz.seg_to_rgb(np.array([[0, 2, 255]], dtype), colours)
        np.testing.assert_array_equal(picture[0], [colours[0], colours[2], [0, 0, 0]])


def test_trust_ends_apart():
    good, middle, bad = viz.trust_to_rgb(np.array([[0, 0.5, 1]]))[0].astype(int)
    assert good[2] > good[0]
    assert bad[0] > bad[2]
    assert middle.min() > 150


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=3), max_size=3), st.booleans())
def test_contact_sheet_of_any_sizes(sizes, titled):
    rows = [[np.full((h, w, 3), 9, np.uint8) for h, w in row] for row in sizes]
    columns = max(map(len, rows), default=0)
    sheet = viz.contact_sheet(rows, ["a title far too long for its tile"] * columns if titled else None, (20, 30))
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == viz.GAP + columns * (30 + viz.GAP)
    below = sheet[viz.TITLE_HEIGHT if titled and columns else 0 :]
    assert below.shape[0] == viz.GAP + len(rows) * (20 + viz.GAP)
    assert (below == 9).all(axis=-1).any() == any(rows)


def test_contact_sheet_keeps_aspect():
    sheet = viz.contact_sheet([[np.zeros((10, 40, 3), np.uint8)]], None, (40, 40))
    assert (sheet == 0).all(axis=-1).sum() == 10 * 40
