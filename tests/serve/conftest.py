"""A page that answers on this machine, with a tiny network behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from toy_runs import write_runs
from umadapt.inference.loading import load
from umadapt.serve.photos import Limits
from umadapt.serve.session import Sessions, Source
from umadapt.serve.shown import Looker


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("serve"))


@pytest.fixture
def sessions(tmp_path: Path, runs: Path) -> Iterator[Sessions]:
    source = Source("base", runs / "base", Looker(load(runs / "base", "cpu")), lambda run: load(run, "cpu"))
    (tmp_path / "visitors").mkdir()
    made = Sessions(source, Limits(megabytes=2, megapixels=1, photos=5), tmp_path / "visitors")
    yield made
    made.close_all()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_photo(tmp_path / "given" / "a <b> room.jpg")


def write_photo(path: Path, size: tuple[int, int] = (90, 120), focal_mm: int = 0) -> Path:
    """A photo of soft blobs of (H, W) pixels, perhaps with a focal length in its EXIF."""
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)).resize((size[1], size[0]))
    exif = Image.Exif()
    if focal_mm:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = focal_mm
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)
    return path
