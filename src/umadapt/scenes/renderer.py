"""One room after another, from its index to the files of its views.

Everything about a room follows from (seed, room index) and about a view from (seed, view index). The image is written
last: its presence means that the view is complete.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from umadapt.config.data import Render
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.errors import UserError
from umadapt.scenes import camera, denoise, engine, tone, tracer
from umadapt.scenes.classes import IGNORE
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.interior.rooms import draw_kind, draw_room
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import Pinhole, Pose, Triangles, cast
from umadapt.scenes.style import LIGHTS
from umadapt.scenes.sweethome.catalogue import open_catalogue
from umadapt.scenes.views import camera_of, draw_views

MAX_DEPTH_M = 10.0
_ROOM_TRIES = 50

_stock = Stock()  # furniture of this process
_stop: Event | None = None  # set when this worker process is to end


def prepare(config: Render, chosen: engine.Engine, stop: Event | None = None) -> None:
    """Make this process ready for `render_room`, which ends after the view in hand once `stop` is set."""
    global _stock, _stop
    _stock, _stop = Stock(open_catalogue(config.furniture)), stop
    tracer.start(chosen)
    denoise.start()


def views_a_room(config: Render) -> int:
    """Images of each room; the last room may have fewer."""
    return config.views if config.rooms else config.views_per_room


def image_path(config: Render, view: int) -> Path:
    """Where the image of a view goes; labels go to the same name in their own folders."""
    return config.out / "image" / f"{view:06d}.{'png' if config.style == 'synthetic' else 'jpg'}"


def pinhole_of(config: Render, room_index: int) -> Pinhole:
    """The camera of a room's views: its focal length is drawn between those of --fov, evenly in its logarithm."""
    low, high = (np.log(0.5 / np.tan(np.radians(angle) / 2)) for angle in config.fov)
    rng = np.random.default_rng((config.seed, room_index, 2 << 20))
    return camera_of(*config.size, float(np.exp(rng.uniform(high, low))))


def furnish(config: Render, stock: Stock, room_index: int) -> tuple[Room, list[Pose]]:
    """The room of that index and all its camera poses; a room without enough good views is drawn anew."""
    pinhole, count = pinhole_of(config, room_index), views_a_room(config)
    kind = draw_kind(np.random.default_rng((config.seed, room_index)))  # a small room gives up no place to a large one
    for attempt in range(_ROOM_TRIES):
        rng = np.random.default_rng((config.seed, room_index, attempt))
        room = draw_room(rng, stock, config.clutter, kind)
        if not any(part.material in LIGHTS for part in room.parts):
            continue
        poses = draw_views(rng, room, pinhole, count, like_nyu="poses" not in config.without)
        if len(poses) == count:
            return room, poses
    raise UserError(f"no room with {count} good views was found in {_ROOM_TRIES} tries; ask for fewer views a room")


def render_room(config: Render, curve: tone.ToneCurve | None, room_index: int, views: list[int]) -> int:
    """Write those views of a room, in a process that is prepared. Returns how many, fewer after a stop."""
    with _noting(room_index, views):
        scene = build_scene(config, room_index)
        rendered = trace(config, scene)
        for count, view in enumerate(views):
            if _stop is not None and _stop.is_set():
                return count
            _write_view(config, curve, scene, rendered[view % len(rendered)], view)
    return len(views)


def pilot_room(config: Render, room_index: int, views: range) -> np.ndarray:
    """How often each value of each channel (3, 256) stands in the image of a room's first view."""
    view = views[0]
    with _noting(room_index, [view]):
        scene = build_scene(config, room_index)
        labels = cast(scene.triangles, scene.pose(view), scene.camera)
        linear = denoised(config, scene, trace(config, scene)[0], *labels)
        return tone.histogram(_develop(config, linear, view)[0])


@contextlib.contextmanager
def _noting(room_index: int, views: list[int]) -> Iterator[None]:
    """Say in an error which room was being rendered."""
    try:
        yield
    except Exception as error:
        with contextlib.suppress(AttributeError):
            error.add_note(f"while rendering room {room_index}, views {views}")
        raise


@dataclass(frozen=True)
class Scene:
    """A room ready to be rendered."""

    index: int
    room: Room
    camera: Pinhole
    poses: list[Pose]
    triangles: Triangles
    traced: tracer.Traced

    def pose(self, view: int) -> Pose:
        """Of a view of the set."""
        return self.poses[view % len(self.poses)]


def build_scene(config: Render, room_index: int) -> Scene:
    """The room of that index, in a process that is prepared."""
    room, poses = furnish(config, _stock, room_index)
    traced = tracer.build(room, config.style, (config.seed, room_index, 1 << 20), frozenset(config.without))
    return Scene(room_index, room, pinhole_of(config, room_index), poses, room.triangles(), traced)


def trace(config: Render, scene: Scene) -> list[tracer.Rendered]:
    """All views of a room, whichever are wanted: the noise of each depends on the others."""
    seed = int(np.random.SeedSequence((config.seed, scene.index)).generate_state(1)[0])
    return tracer.render(scene.traced, scene.poses, scene.camera, config.spp, seed)


def denoised(
    config: Render,
    scene: Scene,
    rendered: tracer.Rendered,
    index: np.ndarray,
    depth_m: np.ndarray,
    normals: np.ndarray,
) -> np.ndarray:
    """(H, W, 3) linear radiance of a view without its noise; the labels guide the a-trous filter."""
    if config.denoiser == "oidn":
        return denoise.oidn(rendered.color, rendered.albedo, rendered.normals)
    points = scene.camera.rays() * depth_m[..., None] * [1.0, -1.0, -1.0]  # (H, W, 3), in the frame of the normals
    shining, clear = (
        np.array([part.material in names for part in scene.room.parts])[scene.triangles.part[index]]
        for names in (scene.traced.shining, scene.traced.clear)
    )
    return denoise.atrous(rendered.color, rendered.albedo, points, normals, shining, clear)


def _develop(config: Render, linear: np.ndarray, view: int) -> tuple[np.ndarray, int]:
    """(H, W, 3) uint8 and the JPEG quality to store it with; the plain camera's images are stored without loss."""
    if config.style == "synthetic" or "sensor" in config.without:
        return camera.develop_plain(linear), camera.QUALITIES[1]
    develop = camera.develop_dim if config.style == "dim" else camera.develop_photo
    return develop(linear, np.random.default_rng((config.seed, view, 2)))


def _write_view(
    config: Render, curve: tone.ToneCurve | None, scene: Scene, rendered: tracer.Rendered, view: int
) -> None:
    index, depth_m, normals = cast(scene.triangles, scene.pose(view), scene.camera)
    image, quality = _develop(config, denoised(config, scene, rendered, index, depth_m, normals), view)
    name = f"{view:06d}.png"
    write_depth(config.out / "depth" / name, np.where(depth_m <= MAX_DEPTH_M, depth_m, 0.0))
    write_normals(config.out / "normals" / name, normals)
    label = np.where(index >= 0, scene.triangles.label[index], IGNORE)
    write_seg(config.out / "seg" / name, label.astype(np.uint8))
    write_image(image_path(config, view), image if curve is None else curve(image), quality)
