"""Cameras: whose they are, what networks learn of them, and how predictions become metres of the photo's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from toy_runs import make_run
from toys import tiny_spec
from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.augment import nearer, scale_crop
from umadapt.data.camera import exif_focal
from umadapt.data.files import write_depth, write_image, write_normals
from umadapt.data.folder import Folder
from umadapt.data.joined import join
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate
from umadapt.inference.loading import load
from umadapt.inference.photos import physical_maps
from umadapt.tasks import make_tasks
from umadapt.training.batches import Batches
from umadapt.training.whole_sets import canonical_focal

SIZE = (48, 64)
SLOPE = np.array([0.3, 0.4, np.sqrt(0.75)])  # normal of the wall, x right, y up, z to the viewer


def wall(focal: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth (48, 64) metres and normals of a slanted wall 3 m away, as a camera of that focal length sees it."""
    x = (np.arange(64) + 0.5 - 32) / focal
    y = -(np.arange(48)[:, None] + 0.5 - 24) / focal
    depth = 3 * SLOPE[2] / (SLOPE[2] - SLOPE[0] * x - SLOPE[1] * y)
    return depth, np.broadcast_to(SLOPE, (48, 64, 3)).astype(np.float32)


def pinhole(focal: float) -> dict[str, float]:
    return {"fx": focal, "fy": focal, "cx": 32.0, "cy": 24.0, "width": 64, "height": 48}


@pytest.fixture
def walls(tmp_path: Path) -> Path:
    """One wall in three pictures, of focal lengths 40, 60 and 120 pixels."""
    root = tmp_path / "walls"
    for id, focal in (("a", 40.0), ("b", 60.0), ("c", 120.0)):
        depth, normals = wall(focal)
        write_image(root / "image" / f"{id}.png", np.full((48, 64, 3), 128, np.uint8))
        write_depth(root / "depth" / f"{id}.png", depth)
        write_normals(root / "normals" / f"{id}.png", normals)
    own = {"a": {"fx": 40.0, "fy": 40.0}, "c": {"fx": 120.0, "fy": 120.0}}
    write_json(root / "dataset.json", {"name": "walls", "camera": pinhole(60.0), "cameras": own, "tasks": {}})
    return root


def test_pictures_may_have_cameras_of_their_own(walls: Path, tmp_path: Path) -> None:
    folder = Folder(walls)
    assert [folder.focal_of(id, 64) for id in "abc"] == [40, 60, 120]
    assert folder.focal_of("c", 128) == 240
    write_image(tmp_path / "photos" / "x.png", np.zeros((48, 64, 3), np.uint8))
    joined = join([walls, tmp_path / "photos"])
    assert [joined.focal_of(id, 64) for id in joined.ids] == [40, 60, 120, None]
    assert canonical_focal(folder, folder.ids, SIZE) == 60
    assert canonical_focal(folder, folder.ids, (96, 128)) == 120
    assert canonical_focal(Folder(tmp_path / "photos"), ("x",), SIZE) is None


@pytest.mark.parametrize("cameras", [3, [1], {"a": 3}, {"a": {"fx": 0}}, {"a": {"fx": "wide"}}])
def test_malformed_cameras_are_named(walls: Path, cameras: object) -> None:
    meta = json.loads((walls / "dataset.json").read_text()) | {"cameras": cameras}
    write_json(walls / "dataset.json", meta)
    with pytest.raises(UserError, match=r"dataset\.json: "):
        Folder(walls)


def test_labels_are_those_of_one_camera(walls: Path) -> None:
    """Depth of the canonical camera is its own times the canonical over its own focal length, and the normals are those
    of the plane that these depths make before that camera."""
    batches = Batches(Folder(walls), "abc", SIZE, SIZE, tasks=("depth", "normals"), focal=60.0, batch=3)
    batch = batches(0)
    x, y = np.meshgrid((np.arange(64) + 0.5 - 32) / 60, -(np.arange(48) + 0.5 - 24) / 60)
    for id, depth, normals in zip(batch.ids, batch.truths["depth"], batch.truths["normals"], strict=True):
        own = {"a": 40.0, "b": 60.0, "c": 120.0}[id]
        z = depth[0].numpy()
        np.testing.assert_allclose(z, wall(own)[0] * 60 / own, rtol=1e-3)
        down, right = np.gradient(np.stack([x * z, y * z, -z]), axis=(1, 2))
        plane = np.cross(down, right, axis=0)
        plane /= np.linalg.norm(plane, axis=0)
        assert np.degrees(np.arccos(np.clip((plane * normals.numpy()).sum(0), -1, 1))).mean() < 1


def test_a_zoom_is_a_longer_focal_length(walls: Path) -> None:
    sample = {name: torch.from_numpy(np.array(x)) for name, x in zip(("depth", "normals"), wall(60.0), strict=True)}
    sample = {"depth": sample["depth"][None], "normals": sample["normals"].permute(2, 0, 1)}
    twice = scale_crop(sample, 1.5, 5, 7, SIZE, magnification=2.0)
    once = nearer(scale_crop(sample, 1.5, 5, 7, SIZE), 2.0)
    for name, label in once.items():
        torch.testing.assert_close(twice[name], label)


def test_predictions_are_of_the_photos_camera() -> None:
    """What `Batches` did to the labels is undone."""
    spec = tiny_spec(focal=60.0)
    tasks = make_tasks(spec)

    class Model:
        pass

    model = Model()
    model.tasks = tasks  # type: ignore[attr-defined]
    depth, normals = (torch.rand(2, 1, 3, 4) + 0.1, torch.nn.functional.normalize(torch.randn(2, 3, 3, 4), dim=1))
    found = physical_maps(model, {"depth": depth, "normals": normals}, [2.0, 0.5])  # type: ignore[arg-type]
    torch.testing.assert_close(found["depth"], 10 * depth * torch.tensor([2.0, 0.5]).view(2, 1, 1, 1))
    back = found["normals"] * torch.tensor([[1, 1, 2.0], [1, 1, 0.5]]).view(2, 3, 1, 1)
    torch.testing.assert_close(torch.nn.functional.normalize(back, dim=1), normals)


@given(st.floats(10, 500), st.sampled_from([(64, 96), (96, 64), (64, 128)]))
def test_magnification(focal: float, size: tuple[int, int]) -> None:
    spec = tiny_spec(focal=80.0)  # at 64x96
    assert spec.magnification(focal, size) == pytest.approx(focal / 80)
    assert spec.magnification(None, size) == pytest.approx(max(size) / 96)
    assert tiny_spec().magnification(focal, size) == 1
    assert spec.fov == pytest.approx(2 * np.degrees(np.arctan(48 / 80)))


def photo_with_exif(path: Path, film_mm: int | None, size: tuple[int, int] = (96, 64)) -> None:
    image, exif = Image.new("RGB", size, (90, 120, 60)), Image.Exif()
    if film_mm is not None:
        exif.get_ifd(0x8769)[0xA405] = film_mm
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)


def test_focal_length_of_exif(tmp_path: Path) -> None:
    photo_with_exif(tmp_path / "phone.jpg", 26, (400, 300))
    photo_with_exif(tmp_path / "plain.jpg", None)
    photo_with_exif(tmp_path / "zero.jpg", 0)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 and no more")
    assert exif_focal(tmp_path / "phone.jpg") == pytest.approx(26 / 43.267 * 500, rel=1e-4)
    assert [exif_focal(tmp_path / f"{name}.jpg") for name in ("plain", "zero", "broken")] == [None] * 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "run"
    make_run(path, "noadv", focal=80.0)
    return path


def test_depth_follows_the_focal_length(run: Path, tmp_path: Path) -> None:
    photo_with_exif(tmp_path / "phone.jpg", 26)
    photo_with_exif(tmp_path / "plain.png", None)
    predictor = load(run, "cpu")
    rgb = np.array(Image.open(tmp_path / "plain.png"))
    plain = predictor.predict(tmp_path / "plain.png")
    known = predictor.predict(rgb, focal=160.0)
    np.testing.assert_allclose(known["depth"], 2 * plain["depth"], rtol=1e-5)
    for name in ("seg", "trust"):
        np.testing.assert_equal(known[name], plain[name])
    mm = exif_focal(tmp_path / "phone.jpg")
    assert mm is not None
    jpeg = np.array(Image.open(tmp_path / "phone.jpg"))
    np.testing.assert_array_equal(
        predictor.predict(tmp_path / "phone.jpg")["depth"], predictor.predict(jpeg, None, mm)["depth"]
    )


def test_predict_says_what_it_assumes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo_with_exif(tmp_path / "in" / "phone.jpg", 26)
    photo_with_exif(tmp_path / "in" / "plain.png", None)
    assert main(["predict", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "camera of 1 is not known (no dataset.json, no EXIF) and taken to see 62 degrees" in capsys.readouterr().out
    fov = f"{np.degrees(2 * np.arctan(48 / 160)):.6f}"
    wide = ["predict", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "fov"), "--fov", fov, "--device", "cpu"]
    assert main(wide) == 0
    assert "not known" not in capsys.readouterr().out
    before, after = (np.load(tmp_path / out / "npy" / "depth" / "plain.npy") for out in ("out", "fov"))
    np.testing.assert_allclose(after, 2 * before, rtol=1e-4)


def test_evaluate_knows_the_cameras(run: Path, tmp_path: Path, toy_world: Path) -> None:
    """The same pictures and truth under a camera of twice the focal length: depths come out twice as large."""
    from umadapt.training.load import load_model

    shutil.copytree(toy_world, tmp_path / "far")
    meta = json.loads((toy_world / "dataset.json").read_text())
    write_json(tmp_path / "far" / "dataset.json", meta | {"camera": meta["camera"] | {"fx": 160.0, "fy": 160.0}})
    model, stored = load_model(run, "cpu")
    near, far = (
        evaluate(model, stored.domain, Folder(data), "raw", ids=Folder(data).ids[:2])
        for data in (toy_world, tmp_path / "far")
    )
    assert near["seg"] == far["seg"]
    assert near["depth"]["rel"] != far["depth"]["rel"]
