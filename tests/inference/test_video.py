"""Clips to clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toy_runs import make_run
from umadapt.cli import main
from umadapt.errors import UserError
from umadapt.inference import video
from umadapt.inference.loading import load

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    make_run(path, "noadv")
    return path


def write_clip(
    path: Path, count: int = 6, size: tuple[int, int] = (64, 96), turned: int = 0, name: str = "mpeg4"
) -> Path:
    """A clip of a bright corner, upper left, and noise that moves; 10 frames a second."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 120, (*size, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(name, rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 4_000_000
        if turned:
            stream.set_display_rotation(turned)
        for k in range(count):
            picture = np.roll(noise, 3 * k, 1)
            picture[: size[0] // 3, : size[1] // 3] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def pictures(path: Path) -> np.ndarray:
    """(frames, H, W, 3) uint8."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_clip_beside_its_maps(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "walk.mp4")
    assert main(["predict", str(run), str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    assert "6 frames of" in told
    assert "1 of 1 clips predicted into" in told
    found = pictures(tmp_path / "out" / "video" / "walk.mp4")
    assert len(found) == 6
    height, width = found.shape[1:3]
    assert (height % 2, width % 2) == (0, 0)
    assert width > 2 * 96  # two tiles in a row
    assert height > 2 * 64
    photo = found[:, 20 : 20 + 15, 4 : 4 + 25]  # the bright corner of the first tile
    assert photo.mean() > 230
    with av.open(str(tmp_path / "out" / "video" / "walk.mp4")) as container:
        assert container.streams.video[0].average_rate == 10


def test_colours_mean_the_same_in_every_frame(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, seen = load(run, "cpu"), []
    depth = type(predictor.maps["depth"])
    monkeypatch.setattr(
        depth, "picture", lambda self, map_, scale=None: seen.append(scale) or np.zeros((*map_.shape, 3), np.uint8)
    )
    video.predict_clip(write_clip(tmp_path / "a.mp4"), tmp_path / "out.mp4", predictor)
    assert len(seen) == 6
    assert len(set(seen)) == 1
    assert seen[0] is not None


def test_a_clip_that_was_filmed_upright_comes_upright(tmp_path: Path) -> None:
    (first, *_) = video.frames(write_clip(tmp_path / "a.mp4", turned=-90))  # clockwise, as phones write it
    assert first.shape[:2] == (96, 64)
    assert first[:32, -22:].mean() > 200  # the corner is on the right now


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.avi"])
def test_containers(tmp_path: Path, name: str) -> None:
    clip = write_clip(tmp_path / name, 3)
    assert video.is_clip(clip)
    assert len(list(video.frames(clip))) == 3
    assert list(video.sampled(clip))


def test_photos_and_clips_together(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from umadapt.data.files import write_image

    write_image(tmp_path / "photo.png", np.zeros((40, 60, 3), np.uint8))
    clip = write_clip(tmp_path / "clip.mp4", 2)
    given = [str(tmp_path / "photo.png"), str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["predict", str(run), *given]) == 0
    assert "2 of 2 photos and clips" in capsys.readouterr().out
    assert (tmp_path / "out" / "depth" / "photo.png").exists()


def damaged(path: Path, how: str) -> Path:
    clip = write_clip(path, 3)
    content = clip.read_bytes()
    contents = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "words": b"these are words",
        "head": content[:40],
    }
    clip.write_bytes(contents[how])
    return clip


@pytest.mark.parametrize("how", ["cut", "empty", "words", "head"])
def test_damaged_clips_are_named_and_nothing_is_written(
    run: Path, tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = damaged(tmp_path / "clip.mp4", how)
    assert main(["predict", str(run), str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    told = capsys.readouterr()
    assert "0 of 1 clips" in told.out
    assert "clip.mp4: damaged, or no film that is read" in told.err
    assert not list((tmp_path / "out").rglob("*.mp4"))


def test_a_clip_without_pictures_and_clips_of_one_name(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UserError, match="no pictures, only audio"):
        list(video.frames(tmp_path / "sound.mp4"))
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"would both be written as a\.mp4"):
        video.find_clips([write_clip(tmp_path / "a.mp4", 1), write_clip(tmp_path / "b" / "a.mkv", 1)])
