"""The whole command at a tiny size: labels on disk, workers, resuming, refusals, and both engines."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from umadapt.config.data import Render
from umadapt.config.options import check_numbers
from umadapt.data.atomic import sweep
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.scenes import denoise, engine, render, renderer
from umadapt.scenes.classes import ID, NYU40
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import cast
from umadapt.scenes.views import nyu_camera

pytest.importorskip("mitsuba")
SIZE = (48, 64)


def make(out: Path, **changes) -> Render:
    config = Render(
        out, views=4, size=SIZE, spp=2, views_per_room=2, furniture="none", workers=1, engine="scalar", seed=5
    )
    return dataclasses.replace(config, **changes)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("render") / "plain"
    assert render.render_set(make(out)) == f"{out}: 4 views, engine scalar"
    return out


def test_folder(plain: Path) -> None:
    names = set(content(plain))
    ids = ["000000", "000001", "000002", "000003"]
    assert names == {"dataset.json"} | {f"{t}/{i}.png" for t in ("image", "depth", "normals", "seg") for i in ids}
    description = json.loads((plain / "dataset.json").read_text())
    assert description["camera"]["width"] == 64
    assert description["camera"]["fx"] == pytest.approx(518.86 / 10)
    assert description["tasks"]["seg"] == {"classes": list(NYU40), "ignore": 255}
    assert description["render"]["engine"] == "scalar"
    for i in ids:
        image = np.array(Image.open(plain / "image" / f"{i}.png"))
        assert image.shape == (*SIZE, 3)
        assert 40 < image.mean() < 215
        depth = np.array(Image.open(plain / "depth" / f"{i}.png"))
        assert depth.dtype == np.uint16
        assert ((depth > 100) & (depth <= 10_000)).all()


def test_every_room_has_a_field_of_view_of_its_own(plain: Path, tmp_path: Path) -> None:
    folder = Folder(plain)
    focal = [camera.fx / 64 for id in folder.ids if (camera := folder.camera_of(id))]
    assert focal[0] == focal[1] != focal[2] == focal[3]
    wide, narrow = (0.5 / np.tan(np.radians(angle) / 2) for angle in (75, 50))
    drawn = [renderer.pinhole_of(make(tmp_path), room).fx / 64 for room in range(200)]
    assert wide < min(drawn) < 1.1 * wide
    assert narrow / 1.1 < max(drawn) < narrow
    assert renderer.pinhole_of(make(tmp_path, fov=(63.0, 63.0)), 3).fx == pytest.approx(32 / np.tan(np.radians(31.5)))


def test_floor_agrees_with_camera_and_normals(plain: Path) -> None:
    tested = 0
    for view in range(4):
        camera = Folder(plain).camera_of(f"{view:06d}")
        assert camera is not None
        _, poses = renderer.furnish(make(plain), Stock(), view // 2)
        up = poses[view % 2].axes.T @ [0.0, 0.0, 1.0]  # world up in the camera frame x right, y up, z to the viewer
        depth, seg, packed = (
            np.array(Image.open(plain / task / f"{view:06d}.png")) for task in ("depth", "seg", "normals")
        )
        i, j = np.nonzero(seg == ID["floor"])
        if len(i) < 100:
            continue
        tested += 1
        z = depth[i, j] * 0.001
        x = (j + 0.5 - camera.cx) / camera.fx * z
        y = -(i + 0.5 - camera.cy) / camera.fy * z
        points = np.stack([x, y, -z], 1)
        fitted = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][-1]
        assert np.degrees(np.arccos(np.clip(abs(fitted @ up), -1, 1))) < 1
        normals = packed[i, j] / 127.5 - 1
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        assert np.degrees(np.arccos(np.clip(normals @ up, -1, 1))).max() < 1
    assert tested >= 2


def test_normals_face_the_viewer(plain: Path) -> None:
    j, i = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    for view in range(4):
        camera = Folder(plain).camera_of(f"{view:06d}")
        assert camera is not None
        rays = np.stack([(j - camera.cx) / camera.fx, -(i - camera.cy) / camera.fy, -np.ones_like(i)], -1)
        normals = np.array(Image.open(plain / "normals" / f"{view:06d}.png")) / 127.5 - 1
        np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=0.01)
        assert ((normals * rays).sum(-1) < 0.01).all()  # rounding to bytes tips those seen edge-on


def test_workers_do_not_matter(plain: Path, tmp_path: Path) -> None:
    render.render_set(make(tmp_path / "two", workers=2))
    assert content(tmp_path / "two") == content(plain)


def test_rooms_are_views_of_each(plain: Path, tmp_path: Path) -> None:
    """`--rooms 2 --views 2` is what `--views 4 --views-per-room 2` is."""
    render.render_set(make(tmp_path / "rooms", rooms=2, views=2, views_per_room=7))
    assert content(tmp_path / "rooms") == content(plain)


def test_shards_make_the_whole(plain: Path, tmp_path: Path) -> None:
    for k in (1, 2):
        render.render_set(make(tmp_path / "whole", shard=(k, 2)))
        told = render.render_set(make(tmp_path / str(k), shard=(k, 2)))
        assert f"2 views of 4, shard {k}/2" in told
    assert content(tmp_path / "whole") == content(plain)
    parts = [content(tmp_path / str(k)) for k in (1, 2)]
    assert set(parts[0]) & set(parts[1]) == {"dataset.json"}
    assert parts[0] | parts[1] == content(plain)


def test_killed_at_random_moments(plain: Path, tmp_path: Path) -> None:
    """SIGKILL to the whole process group, whatever it is doing, until one run gets through: the files are the same."""
    out, rng = tmp_path / "killed", np.random.default_rng()
    command = [sys.executable, "-m", "umadapt", "render", str(out), "--views", "4", "--views-per-room", "2"]
    command += ["--size", "48x64", "--spp", "2", "--furniture", "none", "--engine", "scalar", "--seed", "5"]
    for patience_s in (*rng.uniform(2, 9, 3), 300):
        process = subprocess.Popen([*command, "--workers", "2"], start_new_session=True, stderr=subprocess.DEVNULL)
        try:
            assert process.wait(patience_s) == 0
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for path in (p for p in content(out) if "/.tmp-" not in p):  # what is there is whole
                assert (out / path).read_bytes() == (plain / path).read_bytes()
    assert content(out) == content(plain)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    """A signal that reaches the parent alone, as `kill` sends it, leaves no process behind."""
    out = tmp_path / "orphans"
    command = [sys.executable, "-m", "umadapt", "render", str(out), "--views", "4000", "--views-per-room", "1"]
    command += ["--size", "32x32", "--spp", "1", "--furniture", "none", "--engine", "scalar", "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    await_true(lambda: any(out.glob("image/*.png")), 60)  # a worker is at work
    process.terminate()
    try:
        process.wait(60)
        await_true(lambda: not alive(process.pid), 20)
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_no_locks_of_several_futures_are_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `concurrent.futures.wait` does: a signal between two of them leaves the first held, and nobody ever ends."""

    def taken(self: object) -> None:
        raise AssertionError("locks of several futures")

    monkeypatch.setattr("concurrent.futures._base._AcquireFutures.__enter__", taken)
    said = render.render_set(make(tmp_path / "rooms", views=2, views_per_room=1))
    assert said.endswith("2 views, engine scalar")


def await_true(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


def alive(group: int) -> bool:
    """Whether a process group has a member left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_leftovers_of_the_dead_are_swept(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine, theirs = f".tmp-{socket.gethostname()[:64]}-", ".tmp-another-machine-"
    kept = [f"{mine}{os.getpid()}-1", f"{theirs}{dead.pid}-1", f"{mine}notes", "000001.png"]
    for name in (f"{mine}{dead.pid}-1", *kept):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_what_is_left_out(plain: Path, tmp_path: Path) -> None:
    """Ablations change the picture, not the room."""
    photo = make(tmp_path / "photo", style="photo", views=1, views_per_room=1)
    images = []
    for k, without in enumerate(((), ("textures",), ("light",), ("sensor",))):
        render.render_set(dataclasses.replace(photo, out=tmp_path / str(k), without=without))
        images.append((tmp_path / str(k) / "image" / "000000.jpg").read_bytes())
        assert (tmp_path / str(k) / "depth/000000.png").read_bytes() == (tmp_path / "0/depth/000000.png").read_bytes()
    assert len(set(images)) == 4


def test_every_denoiser(plain: Path, tmp_path: Path) -> None:
    """The denoiser changes the picture alone; a set is not continued with another."""
    render.render_set(make(tmp_path / "atrous", denoiser="atrous", views=2))
    atrous = content(tmp_path / "atrous")
    assert all(data == content(plain)[name] for name, data in atrous.items() if name.startswith(("depth", "normals")))
    if denoise.choose("auto") == "oidn":
        assert atrous["image/000000.png"] != content(plain)["image/000000.png"]
        with pytest.raises(UserError, match="denoiser was oidn, now atrous"):
            render.render_set(make(plain, denoiser="atrous"))


def test_tones_of_photos(tmp_path: Path) -> None:
    """Dark photos make dark rooms, on any number of workers, also in a set that is continued without the photos' rooms;
    the labels stay."""
    photos = tmp_path / "photos"
    for k in range(3):
        write_image(photos / f"{k}.png", np.random.default_rng(k).integers(0, 60, (48, 64, 3), dtype=np.uint8))
    photo = make(tmp_path / "one", style="photo", views=4, tone_of=str(photos))
    render.render_set(photo)
    render.render_set(dataclasses.replace(photo, out=tmp_path / "two", workers=2))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    (tmp_path / "two/image/000003.jpg").unlink()
    render.render_set(dataclasses.replace(photo, out=tmp_path / "two"))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert np.array(Image.open(tmp_path / "one/image/000000.jpg")).mean() < 70
    with pytest.raises(UserError, match="the tones were those of photos, now of no photos"):
        render.render_set(dataclasses.replace(photo, tone_of=""))
    write_image(photos / "3.png", np.full((48, 64, 3), 200, dtype=np.uint8))
    with pytest.raises(UserError, match="the tones were those of photos, now of other photos"):
        render.render_set(photo)


@pytest.mark.parametrize(("package", "said"), [("embreex", "Embree"), ("mitsuba", "Mitsuba 3")])
def test_what_is_missing_is_named(package: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(UserError, match=f"{said}.*pip install {package}"):
        render.render_set(make(tmp_path / "out"))


def test_shell_is_where_it_was_built(tmp_path: Path) -> None:
    """Floors and walls are planes: depth within 1e-4 m, normals within 0.1 degrees."""
    tested = 0
    for room_index in range(6):
        pinhole = renderer.pinhole_of(make(tmp_path), room_index)
        room, poses = renderer.furnish(make(tmp_path), Stock(), room_index)
        triangles = room.triangles()
        up = np.array([0.0, 0.0, 1.0])
        for pose in poses:
            index, depth_m, normals = cast(triangles, pose, pinhole)
            corners = triangles.corners[index]
            on_floor = (triangles.label[index] == ID["floor"]) & (np.abs(corners[..., 2]) < 1e-9).all(-1)
            rays = (pinhole.rays() * [1, -1, -1] @ pose.axes.T)[on_floor]
            exact_m = -pose.position[2] / rays[:, 2]
            np.testing.assert_allclose(depth_m[on_floor], exact_m, atol=1e-4)
            angles = np.degrees(np.arccos(np.clip(normals[on_floor] @ pose.axes.T @ up, -1, 1)))
            assert (angles < 0.1).all()
            tested += on_floor.sum()
    assert tested > 2000


def test_resumed_is_undisturbed(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "cut")
    for name in ("image/000001.png", "image/000002.png", "depth/000002.png", "seg/000001.png"):
        (tmp_path / "cut" / name).unlink()
    kept = (tmp_path / "cut" / "image" / "000000.png").stat().st_mtime_ns
    render.render_set(make(tmp_path / "cut"))
    assert content(tmp_path / "cut") == content(plain)
    assert (tmp_path / "cut" / "image" / "000000.png").stat().st_mtime_ns == kept


def test_photo_style_shares_the_labels(plain: Path, tmp_path: Path) -> None:
    render.render_set(make(tmp_path / "photo", style="photo", views=2))
    photo = content(tmp_path / "photo")
    for name, data in content(plain).items():
        if name[-5] in "01" and not name.startswith("image"):
            assert photo[name] == data
    assert "image/000000.jpg" in photo


def test_changed_settings_are_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"seed was 5, now 4; spp was 2, now 8"):
        render.render_set(make(plain, seed=4, spp=8))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset.json").write_text("{}")
    with pytest.raises(UserError, match="was not written by"):
        render.render_set(make(tmp_path / "other"))
    with pytest.raises(UserError, match="--views is 0"):
        check_numbers(make(tmp_path / "none", views=0))


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        render.render_set(make(tmp_path / "file" / "out"))


# Mitsuba's own first hits through the pixel centres, in a process of its own: a variant is chosen once.
_HITS = """
import sys
import numpy as np
from pathlib import Path
from umadapt.config.data import Render
from umadapt.config.options import check_numbers
from umadapt.scenes import engine, renderer, tracer
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.views import nyu_camera
import importlib
chosen, _ = engine.choose(sys.argv[1])
tracer.start(chosen)
mi = importlib.import_module("mitsuba")
room, poses = renderer.furnish(Render(Path("unused"), size=(48, 64), views_per_room=2, seed=5), Stock(), 0)
scene = tracer.build(room, "synthetic", (5, 0)).scene
centres = {"type": "stratified", "jitter": False, "sample_count": 1}
sensor = tracer.sensor(poses[:1], nyu_camera(48, 64), centres)
aov = mi.load_dict({"type": "aov", "aovs": "p:position,n:geo_normal"})
hits = np.array(mi.render(scene, sensor=sensor, integrator=aov, spp=1), dtype=np.float64)[..., -6:]
np.save(sys.argv[2], hits)
"""


@pytest.mark.parametrize("name", ["scalar", "llvm"])
def test_engine_sees_what_the_labels_say(name: str, tmp_path: Path) -> None:
    """The renderer's own first hits agree with the labels, so image and labels show the same scene, pixel for pixel."""
    if name == "llvm" and engine.choose("auto")[0].name != "llvm":
        pytest.skip("no LLVM that works here")
    subprocess.run([sys.executable, "-c", _HITS, name, str(tmp_path / "hits.npy")], check=True)
    hits = np.load(tmp_path / "hits.npy")
    room, poses = renderer.furnish(make(tmp_path), Stock(), 0)
    triangles = room.triangles()
    _, depth_m, normals = cast(triangles, poses[0], nyu_camera(*SIZE))
    theirs = poses[0].to_camera(hits[..., :3].reshape(-1, 3))[:, 2].reshape(SIZE)
    same = np.abs(theirs - depth_m) < 1e-4 * depth_m
    assert same.mean() > 0.998  # the rest lies on edges, where single precision falls to the other side
    turned = hits[..., 3:] @ poses[0].axes
    assert ((turned * normals).sum(-1)[same] > 0.9999).mean() > 0.998


def test_llvm_writes_the_same_labels(plain: Path, tmp_path: Path) -> None:
    if engine.choose("auto")[0].name != "llvm":
        pytest.skip("no LLVM that works here")
    render.render_set(make(tmp_path / "llvm", engine="llvm", views=2))
    llvm = content(tmp_path / "llvm")
    for name, data in content(plain).items():
        if name[-5] in "01" and name.startswith(("depth", "normals", "seg")):
            assert llvm[name] == data
    pictures = [np.array(Image.open(d / "image" / "000000.png"), dtype=float) for d in (plain, tmp_path / "llvm")]
    a, b = (picture.reshape(6, 8, 8, 8, 3).mean((1, 3)) for picture in pictures)  # most of the noise is averaged away
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.8  # other random numbers, the same picture
