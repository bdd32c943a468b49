"""What is shown of a photo is what the network predicts."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from serve.conftest import write_photo
from toys import CLASSES
from umadapt.data.files import read_photo
from umadapt.inference.loading import load
from umadapt.serve.photos import Limits, take
from umadapt.serve.shown import Looker, Shown
from umadapt.serve.viewer import before_beside_after, photo_beside_maps


@pytest.fixture
def shown(tmp_path: Path, runs: Path, photo: Path) -> Shown:
    taken = take(photo, tmp_path / "kept", Limits())
    return Looker(load(runs / "base", "cpu")).show(taken, tmp_path / "shown")


def arrays(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        return {name: np.load(io.BytesIO(archive.read(name))) for name in archive.namelist()}


def test_numbers_are_the_prediction(shown: Shown, runs: Path) -> None:
    found = load(runs / "base", "cpu").predict(read_photo(shown.photo))
    numbers = arrays(shown.numbers)
    assert set(numbers) == {"depth.npy", "normals.npy", "seg.npy", "trust-seg.npy", "trust-depth.npy"}
    np.testing.assert_array_equal(numbers["depth.npy"], found["depth"])
    np.testing.assert_array_equal(numbers["seg.npy"], found["seg"])
    with zipfile.ZipFile(shown.pictures) as archive:
        assert len(archive.namelist()) == 1 + len(shown.layers)


def test_what_is_under_the_pointer_is_the_prediction(shown: Shown) -> None:
    numbers, under = arrays(shown.numbers), np.asarray(Image.open(shown.under)).astype(int)
    assert (under[..., 0] * 256 + under[..., 1]) / 1000 == pytest.approx(numbers["depth.npy"], abs=0.0006)
    np.testing.assert_array_equal(under[..., 2], numbers["seg.npy"])


def test_the_key_names_every_class_of_the_photo(shown: Shown) -> None:
    seg = arrays(shown.numbers)["seg.npy"]
    assert {c.id for c in shown.classes} == set(np.unique(seg).tolist())
    assert sum(c.share for c in shown.classes) == pytest.approx(1)
    picture = np.asarray(Image.open(next(x.picture for x in shown.layers if x.name == "seg")))
    for one in shown.classes:
        assert one.name == CLASSES[one.id]
        assert (picture[seg == one.id] == one.colour).all()


def test_the_shape_opens_and_is_as_far_as_the_depth(shown: Shown) -> None:
    trimesh = pytest.importorskip("trimesh")
    assert shown.shape is not None
    mesh = trimesh.load(shown.shape, force="mesh")
    depth = arrays(shown.numbers)["depth.npy"]
    assert -mesh.vertices[:, 2].max() == pytest.approx(depth.min(), rel=0.05)
    assert 100 < len(mesh.vertices) <= 100_000


def test_who_says_what_the_camera_sees(tmp_path: Path, runs: Path) -> None:
    looker = Looker(load(runs / "base", "cpu"))
    plain = take(write_photo(tmp_path / "plain.jpg"), tmp_path / "kept", Limits())
    told = take(write_photo(tmp_path / "told.jpg", focal_mm=28), tmp_path / "kept", Limits())
    assert "assumed" in looker.show(plain, tmp_path / "1").camera
    assert looker.show(told, tmp_path / "2").camera == "sees 63° along the longer side, by the photo's EXIF"
    assert looker.show(told, tmp_path / "3", fov=90).camera == "sees 90° along the longer side, as you said"


def test_html_of_a_name_is_escaped_and_before_and_after_share_a_scale(
    tmp_path: Path, runs: Path, photo: Path, shown: Shown
) -> None:
    html = photo_beside_maps(shown, str)
    assert "a &lt;b&gt; room.jpg" in html
    assert "<b>" not in html
    assert html.count('role="tab"') == 5
    taken = take(photo, tmp_path / "kept", Limits())
    after = Looker(load(runs / "adapted", "cpu")).show(taken, tmp_path / "after", beside=shown)
    assert after.layers[0].scale == shown.layers[0].scale is not None
    both = before_beside_after(shown, after, str)
    assert both.count('role="tab"') == 4  # three maps and the photo; no trust
