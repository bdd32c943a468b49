"""Maps of large photos by strips: the same numbers as all at once, in bounded memory."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toy_runs import make_run
from umadapt.commands.export import made_photo
from umadapt.data.augment import resize_image, to_sample
from umadapt.data.window import Window
from umadapt.errors import UserError
from umadapt.inference import photos
from umadapt.inference.enlarge import MAX_PIXELS, Enlarged, Filled, Maps, check_size, reduced, strips
from umadapt.inference.exported import OLD_PIXELS, Exported, grids_of
from umadapt.inference.loading import load
from umadapt.inference.photos import fitted
from umadapt.tasks.resize import resize_labels, resize_map

SIZES = [(97, 61), (8, 12), (5, 7), (300, 40), (3, 90), (700, 1000)]


@pytest.mark.parametrize("size", SIZES)
def test_rows_are_those_of_torch(size):
    grid = torch.randn(5, 8, 12, generator=torch.Generator().manual_seed(0))
    depth = np.asarray(Enlarged(grid[:1].numpy(), "depth", size))
    np.testing.assert_allclose(depth, resize_map(grid[:1], size)[0].numpy(), rtol=0, atol=1e-4)
    normals = torch.nn.functional.normalize(resize_map(grid[:3], size), dim=0, eps=1e-6).permute(1, 2, 0)
    found = np.asarray(Enlarged(grid[:3].numpy(), "normals", size))
    assert (np.abs(found - normals.numpy()).max(-1) < 1e-3).mean() > 0.999  # they cancel where opposites meet
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=0, atol=1e-4)
    ids = np.asarray(Enlarged(grid.numpy(), "seg", size))
    assert ids.dtype == np.uint8
    assert (ids == resize_labels(grid, size).numpy()).mean() > 0.999


def test_strips_are_the_whole(monkeypatch):
    grid = np.random.default_rng(0).normal(size=(4, 8, 12)).astype(np.float32)
    maps = [Enlarged(grid[:1], "share", (90, 130)), Enlarged(grid[:3], "normals", (90, 130))]
    maps.append(Enlarged(grid, "seg", (90, 130)))
    maps += [Filled(map_, Window(10, 20, 140, 110), (120, 160)) for map_ in maps]
    for map_ in maps:
        at_once = map_.rows(0, map_.shape[0])
        with monkeypatch.context() as patch:
            patch.setattr("umadapt.inference.enlarge.STRIP", 1000)
            parts = list(strips(map_))
            assert len(parts) > 5
            whole = np.asarray(map_)
        assert whole.shape == map_.shape
        assert whole.dtype == map_.dtype
        np.testing.assert_allclose(whole, at_once, atol=1e-4)
        np.testing.assert_array_equal(np.concatenate([strip for _, strip in parts]), whole)


@pytest.mark.parametrize("size", [(333, 470), (20, 700), (64, 96)])
def test_a_photo_is_made_smaller_by_strips(monkeypatch, size):
    rgb = made_photo(*size)
    whole = resize_image(to_sample({"image": rgb})["image"], (64, 96))
    monkeypatch.setattr("umadapt.inference.enlarge.STRIP", 5000)
    np.testing.assert_allclose(reduced(rgb, (64, 96)), whole.numpy(), rtol=0, atol=1e-5)
    at_once = fitted(rgb, (64, 96))
    monkeypatch.setattr(photos, "LARGE", 5000)
    torch.testing.assert_close(fitted(rgb, (64, 96)), at_once, atol=1e-5, rtol=0)


def test_maps_are_a_dict_of_arrays_that_are_made_when_they_are_read():
    def fresh() -> Maps:
        return Maps(depth=Enlarged(np.ones((1, 2, 3), np.float32), "depth", (4, 6)), trust=Maps())

    maps = fresh()
    assert isinstance(maps, dict)
    assert set(maps) == {"depth", "trust"}
    assert isinstance(dict.__getitem__(maps, "depth"), Enlarged)
    assert maps["depth"] is maps["depth"]
    alike = [dict(fresh()), {**fresh()}, fresh() | {}, {} | fresh(), fresh().copy(), copy.copy(fresh())]
    alike += [copy.deepcopy(fresh()), pickle.loads(pickle.dumps(fresh())), dict(fresh().items())]
    alike += [{"depth": map_} for map_ in (fresh().get("depth"), fresh().pop("depth"), next(iter(fresh().values())))]
    for found in alike:
        assert type(found["depth"]) is np.ndarray
        assert found["depth"].shape == (4, 6)
    assert fresh().get("seg", 3) == 3
    assert fresh().pop("seg", None) is None
    with pytest.raises(KeyError):
        fresh()["seg"]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((10_001, 10_000), "10001x10000, 100 megapixels; expected at most 100: make it smaller"),
        ((MAX_PIXELS, 2), "200 megapixels"),
        ((1, 201), "one side 201 times the other; expected at most 200"),
        ((65_535, 30), "cut it into pieces"),
    ],
)
def test_what_is_too_large_is_refused(size, message):
    with pytest.raises(UserError, match=message):
        check_size(size)
    check_size((7000, 10_000))
    check_size((1, 200))


def test_a_file_of_before_takes_photos_up_to_a_limit():
    old, new = (Exported("model.onnx", {}, (64, 96), grids, 1000) for grids in (False, True))
    small, large = np.empty((20, 40, 3), np.uint8), np.empty((20, 60, 3), np.uint8)
    assert [new.by_grids(small), new.by_grids(large), old.by_grids(large)] == [False, True, False]
    vast = np.broadcast_to(np.uint8(0), (1, OLD_PIXELS + 1, 3))
    with pytest.raises(UserError, match=r"earlier umadapt, and takes photos of up to 12\.5 megapixels.*again"):
        old.by_grids(vast)


def test_grids_of_a_graph_are_named_as_its_maps():
    ones = np.ones((1, 2, 3), np.float32)
    found = grids_of({"grid_depth": ones, "grid_trust_depth": ones}, {"depth": "depth"}, (4, 6))
    assert found["depth"].shape == found["trust"]["depth"].shape == (4, 6)
    with pytest.raises(UserError, match="depth holds NaN"):
        grids_of({"grid_depth": ones * np.nan}, {"depth": "depth"}, (4, 6))


PEAK = """
import resource, sys
import numpy as np
import umadapt
from umadapt.cli import main

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

run, photo, out = sys.argv[1:]
model = umadapt.load(run, "cpu")
model.predict(np.zeros((64, 96, 3), np.uint8))
before = peak()
found = model.predict(photo)
found["seg"]
predicted = peak()
main(["predict", run, photo, "--out", out, "--device", "cpu"])
print(predicted - before, peak() - before)
"""


def test_the_peak_is_a_few_copies_of_the_photo(tmp_path):
    """Of two megapixels, with a hundred classes; in proportion, 50 megapixels stay below 2 GB."""
    classes = tuple(f"class {i}" for i in range(100))
    make_run(tmp_path / "run", classes=classes, class_frequencies=(0.01,) * 100)
    size = (1200, 1800)
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(tmp_path / "photo.png")
    arguments = [str(tmp_path / name) for name in ("run", "photo.png", "out")]
    done = subprocess.run([sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=True)
    predicted, written = map(int, done.stdout.split()[-2:])
    pixels = size[0] * size[1]
    assert predicted < 22 * pixels  # decoding it takes most: a GB at 50 megapixels, beside what torch takes
    assert written < 22 * pixels
    described = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert len(described["tasks"]["seg"]["classes"]) == 100
    assert np.load(tmp_path / "out" / "npy" / "normals" / "photo.npy").shape == (*size, 3)


def test_a_window_of_a_photo_is_filled_as_before(tmp_path):
    make_run(tmp_path / "run")
    predictor, photo = load(Path(tmp_path / "run"), "cpu"), made_photo(80, 110)
    window = Window(8, 4, 100, 70)
    found, inside = predictor.predict(photo, window), predictor.predict(window.crop(photo))
    np.testing.assert_allclose(window.crop(found["depth"]), inside["depth"], atol=1e-6)
    np.testing.assert_array_equal(found["seg"][0], found["seg"][4])
    np.testing.assert_array_equal(found["trust"]["seg"][:, 0], found["trust"]["seg"][:, 8])
