"""Kept normals are the normals, survive a damaged cache, and cost no more than a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.data import cached
from umadapt.data.camera import Camera
from umadapt.data.normals import normals_from_depth

CAMERA = Camera(60, 60, 32, 24, 64, 48)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "umadapt" / "normals"


def depth_m(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slope = np.linspace(1, 3, 48)[:, None] + np.linspace(0, rng.uniform(0.1, 1), 64)
    return np.where(rng.random((48, 64)) < 0.02, 0, slope).astype(np.float32)


def test_kept_normals_are_the_normals(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached.cached_normals(depth_m(), CAMERA)
    assert first.dtype == np.float32
    exact = normals_from_depth(depth_m(), CAMERA)
    np.testing.assert_array_equal(first.any(axis=-1), exact.any(axis=-1))
    assert np.abs(first - exact).max() < np.radians(0.06)
    monkeypatch.setattr(cached, "normals_from_depth", None)  # a second computation would fail
    np.testing.assert_array_equal(cached.cached_normals(depth_m(), CAMERA), first)
    with pytest.raises(TypeError):
        cached.cached_normals(depth_m(1), CAMERA)
    with pytest.raises(TypeError):
        cached.cached_normals(depth_m(), Camera(61, 60, 32, 24, 64, 48))
    assert len(list(folder.rglob("*.z"))) == 1


def test_damaged_and_unwritable_caches(folder: Path) -> None:
    first = cached.cached_normals(depth_m(), CAMERA)
    (path,) = folder.rglob("*.z")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(cached.cached_normals(depth_m(), CAMERA), first)
        assert path.read_bytes() == whole
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("in the way")
    np.testing.assert_array_equal(cached.cached_normals(depth_m(), CAMERA), first)
