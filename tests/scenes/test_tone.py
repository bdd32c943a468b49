"""Tone curves between two sets of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umadapt.data.files import write_image
from umadapt.errors import UserError
from umadapt.scenes import tone

LEVELS = st.lists(st.floats(0, 255), min_size=7, max_size=7).map(sorted)


def test_percentiles_of_a_ramp() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    found = tone.percentiles(tone.histogram(ramp))
    np.testing.assert_allclose(found, np.tile(np.array(tone.PERCENTS) * 2.56 - 0.5, (3, 1)), atol=0.01)


@given(LEVELS, LEVELS)
def test_curves_are_monotone_and_keep_black_and_white(rooms: list[float], photos: list[float]) -> None:
    values = tone.curve(rooms, photos)
    assert (np.diff(values.astype(int)) >= 0).all()
    assert values[0] == 0 or rooms[0] == 0
    assert values[-1] == 255 or rooms[-1] == 255


def test_rooms_get_the_tones_of_photos(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.beta(2, 2, (4, 48, 64, 3))
    photos = np.round(255 * base ** [1.6, 2.0, 1.2]).astype(np.uint8)
    for k, photo in enumerate(photos):
        framed = np.pad(photo, ((1, 1), (1, 1), (0, 0)), constant_values=255)  # a white frame does not count
        write_image(tmp_path / f"{k}.png", framed)
    wanted = tone.photo_percentiles(str(tmp_path))
    rooms = np.round(255 * rng.beta(2, 2, (48, 64, 3))).astype(np.uint8)
    curve = tone.ToneCurve(tone.percentiles(tone.histogram(rooms)), wanted)
    found = tone.percentiles(tone.histogram(curve(rooms)))
    np.testing.assert_allclose(found, wanted, atol=2.5)


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing"):
        tone.photo_percentiles(str(tmp_path / "nothing"))
