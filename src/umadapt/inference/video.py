"""A clip to a clip: its frames beside what the network makes of them, in colours that mean the same from end to end."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data import viz
from umadapt.data.atomic import whole_file
from umadapt.data.pictures import HEAD, kind_of_content
from umadapt.errors import UserError
from umadapt.inference.predictor import Predictor

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi")
TILE = 480  # pixels that a frame is wide beside the others: the network sees fewer
COLUMNS = 2
SAMPLED = 9  # frames that tell the range of the colours
CODECS = ("libx264", "mpeg4")  # the first that this PyAV has
RATE = Fraction(25)  # of a clip that names none


def find_clips(given: Sequence[Path]) -> dict[str, Path]:
    """Stem -> clip, of those of the files that are films.

    Raises:
        UserError: there are some and PyAV is not installed, or two have one name.
    """
    found: dict[str, Path] = {}
    for path in filter(is_clip, given):
        twin = found.setdefault(path.stem, path)
        if twin.resolve() != path.resolve():
            raise UserError(f"{twin} and {path} would both be written as {path.stem}.mp4; rename one of them")
    if found and importlib.util.find_spec("av") is None:
        raise UserError('clips need PyAV, which is not installed; type: pip install "umadapt[video]"')
    return found


def is_clip(path: Path) -> bool:
    """Whether a file is a film, by its content, or should be, by its name."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        kind = kind_of_content(file.read(HEAD))
    return path.suffix.lower() in SUFFIXES if kind is None else kind.name == "a film"


def predict_clip(clip: Path, out: Path, predictor: Predictor, fov: float = 0.0) -> int:
    """Write `out`, an MP4 of each frame beside its maps; the number of frames.

    Args:
        fov: degrees that the camera sees along the longer side of a frame; 0 = as the network assumes.

    Raises:
        UserError: the clip has no pictures, or is damaged; then nothing is written.
    """
    from tqdm import tqdm

    scales = scales_of(clip, predictor, fov)
    rate, expected = timing(clip)
    count = 0
    with whole_file(out) as file, writing(file, rate) as write:
        bar = tqdm(frames(clip), clip.name, expected, unit="frame", file=sys.stderr, leave=False)
        for rgb in bar:
            write(beside(rgb, look(rgb, predictor, fov), predictor, scales))
            count += 1
    return count


def look(rgb: np.ndarray, predictor: Predictor, fov: float) -> dict[str, Any]:
    """The maps of a frame (h, w, 3)."""
    focal = max(rgb.shape[:2]) / 2 / math.tan(math.radians(fov) / 2) if fov else None
    return predictor.predict(rgb, focal=focal)


def scales_of(clip: Path, predictor: Predictor, fov: float) -> dict[str, float | None]:
    """What decides the colours of each map, the largest of a few frames all over the clip."""
    found: dict[str, list[float]] = {task: [] for task in predictor.maps}
    for rgb in sampled(clip):
        maps = look(rgb, predictor, fov)
        for task, map_ in predictor.maps.items():
            scale = map_.picture_scale(maps[task])
            found[task] += [] if scale is None else [scale]
    return {task: max(scales, default=None) for task, scales in found.items()}


def beside(rgb: np.ndarray, maps: dict[str, Any], predictor: Predictor, scales: dict[str, float | None]) -> np.ndarray:
    """A frame and its maps as one picture (H, W, 3) of even sides, COLUMNS in a row, each under its name."""
    pictures = {"photo": rgb}
    pictures |= {task: map_.picture(maps[task], scales[task]) for task, map_ in predictor.maps.items()}
    names, size = list(pictures), (rgb.shape[0], rgb.shape[1])
    rows = [names[i : i + COLUMNS] for i in range(0, len(names), COLUMNS)]
    sheets = [viz.contact_sheet([[pictures[name] for name in row]], row, size) for row in rows]
    width = max(sheet.shape[1] for sheet in sheets)
    whole = np.concatenate([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets])
    return np.pad(whole, ((0, len(whole) % 2), (0, width % 2), (0, 0)), mode="edge")


# --- Reading


@contextlib.contextmanager
def opened(clip: Path) -> Iterator[Any]:
    """The container of a clip with pictures. Raises a UserError that names it for whatever PyAV raises inside."""
    import av

    try:
        with av.open(str(clip)) as container:
            if not container.streams.video:
                raise UserError(f"{clip} has no pictures, only {', '.join(s.type for s in container.streams)}")
            yield container
    except (av.FFmpegError, EOFError, ValueError) as error:
        reason = str(error).split(":")[0].removeprefix("[").strip()
        raise UserError(f"{clip}: damaged, or no film that is read ({reason}); copy it anew, or convert it") from error


def frames(clip: Path) -> Iterator[np.ndarray]:
    """Each frame of a clip, (h, w, 3) uint8 RGB, upright, TILE wide.

    Raises:
        UserError: it is damaged, or has none.
    """
    count = 0
    with opened(clip) as container:
        for count, frame in enumerate(container.decode(video=0), 1):  # noqa: B007
            yield upright(frame)
    if not count:
        raise UserError(f"{clip} has no frames; copy it anew")


def sampled(clip: Path) -> Iterator[np.ndarray]:
    """A few frames all over a clip; of one that does not tell its length, the first."""
    with opened(clip) as container:
        for k in range(SAMPLED if container.duration else 1):
            if k:
                container.seek(k * container.duration // SAMPLED)
            frame = next(container.decode(video=0), None)
            if frame is not None:
                yield upright(frame)


def timing(clip: Path) -> tuple[Fraction, int | None]:
    """Frames a second, and how many there are; None = it does not tell."""
    with opened(clip) as container:
        stream = container.streams.video[0]
        return Fraction(stream.average_rate or RATE).limit_denominator(60_000), stream.frames or None


def upright(frame: Any) -> np.ndarray:
    """A decoded frame turned as its display matrix says, (h, w, 3) uint8, TILE wide."""
    rgb = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
    return viz.thumbnail_photo(np.ascontiguousarray(rgb), TILE)


# --- Writing


@contextlib.contextmanager
def writing(path: Path, rate: Fraction) -> Iterator[Any]:
    """What appends pictures (H, W, 3) of one size, both sides even, to an MP4."""
    import av

    codec = next(name for name in CODECS if name in av.codecs_available)
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.pix_fmt = "yuv420p"  # what every player shows

        def write(picture: np.ndarray) -> None:
            if not stream.codec_context.is_open:
                stream.height, stream.width = picture.shape[:2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                container.mux(packet)

        yield write
        for packet in stream.encode():
            container.mux(packet)
