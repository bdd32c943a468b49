"""`umadapt render`: rooms drawn, seen, labelled and rendered by worker processes into the folder format.

Everything about a room follows from (seed, room index) and about a view from (seed, view index), so the files do not
depend on the number of workers or shards, nor on where an earlier run stopped. The image is written last: its presence
means that the view is complete.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.config.data import Render
from umadapt.data.files import sweep
from umadapt.data.folder import write_depth, write_image, write_json, write_normals, write_seg
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.scenes import camera, denoise, engine, tone, tracer
from umadapt.scenes.classes import IGNORE, NYU40
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.interior.rooms import draw_kind, draw_room
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import Pinhole, Pose, Triangles, cast, require_embree
from umadapt.scenes.style import LIGHTS
from umadapt.scenes.sweethome.catalogue import Catalogue, default_folder
from umadapt.scenes.views import camera_of, draw_views, nyu_camera

GENERATOR = 6  # raise it when the same seed gives other rooms, so that an old set is not continued with new ones
MAX_DEPTH_M = 10.0
_ROOM_TRIES = 50
PILOT_ROOMS, PILOT_SIZE = 32, (90, 120)  # whose tones stand for those of the set
LEAVE_OUT = ("textures", "light", "sensor", "poses")


def run(config: Render) -> int:
    """Make or continue a data set. Returns the exit code 0; raises UserError for what the user can mend."""
    unknown = sorted(set(config.without) - set(LEAVE_OUT))
    if unknown:
        raise UserError(f"--without names {', '.join(unknown)}; there are {', '.join(LEAVE_OUT)}")
    if config.tone_of and (config.style != "photo" or "sensor" in config.without):
        raise UserError("--tone-of gives a camera the tones of photos; it needs --style photo, with its sensor")
    if config.fov[1] >= 150:
        raise UserError(f"--fov is {config.fov[0]:g}-{config.fov[1]:g}; expected degrees below 150")
    catalogue = open_catalogue(config.furniture)
    require_embree()
    config = resolved(config)
    chosen, remark = engine.choose(config.engine)
    engines = {name for names in process_group.gather([chosen.name]) for name in names}
    wanted = settings(config, catalogue)
    with process_group.first():
        engines |= _check_stored(config, wanted)
        curve = _tone(config, chosen, wanted["tone_of"])
        if not process_group.rank():
            _describe(config, wanted, engines, catalogue, curve)
    for task in ("image", "depth", "normals", "seg"):
        sweep(config.out / task)
    if remark and not process_group.rank():
        print(remark, file=sys.stderr)
    jobs = _jobs(own_rooms(config))
    missing = sum(len(views) for _, views in jobs)
    if jobs:
        _render_all(config, chosen, curve, jobs, missing)
    missing = sum(process_group.gather(missing))
    share = sum(len(views) for _, views in _rooms(config))
    skipped = f" ({share - missing} were there already)" if missing < share else ""
    part = f" of {total_views(config)}, shard {'/'.join(map(str, config.shard))}" if config.shard[1] > 1 else ""
    print(f"{config.out}: {share} views{part}{skipped}, engine {'+'.join(sorted(engines))}")
    return 0


def resolved(config: Render) -> Render:
    """The denoiser that is there, and its samples where none are asked for."""
    denoiser = denoise.choose(config.denoiser)
    return replace(config, denoiser=denoiser, spp=config.spp or denoise.samples(denoiser, config.size[1]))


def total_views(config: Render) -> int:
    """Images of the whole set, all shards together."""
    return config.rooms * config.views if config.rooms else config.views


def views_a_room(config: Render) -> int:
    """Images of each room; the last room may have fewer."""
    return config.views if config.rooms else config.views_per_room


def open_catalogue(furniture: str) -> Catalogue | None:
    """`none`, `auto` or a folder -> the catalogue, None where there is none to use."""
    if furniture == "none":
        return None
    folder = default_folder() if furniture == "auto" else Path(furniture)
    return Catalogue.open(folder) if folder else None


def settings(config: Render, catalogue: Catalogue | None) -> dict[str, Any]:
    """What decides the content of a view: a set may only be continued with the same."""
    return {
        "generator": GENERATOR,
        "style": config.style,
        "seed": config.seed,
        "size": list(config.size),
        "fov": list(config.fov),
        "spp": config.spp,
        "denoiser": config.denoiser,
        "views_per_room": views_a_room(config),
        "furniture": catalogue.digest if catalogue else "none",
        "clutter": config.clutter,
        "without": sorted(config.without),
        "tone_of": tone.photo_percentiles(config.tone_of) if config.tone_of else None,
    }


def _stored(config: Render) -> dict[str, Any] | None:
    """The entry "render" of dataset.json; None where there is no such file yet."""
    path = config.out / "dataset.json"
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))["render"]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(f"{path} was not written by `umadapt render`; give another folder to write to") from error


def _check_stored(config: Render, wanted: dict[str, Any]) -> set[str]:
    """Refuse to continue a set with other settings. Returns the engines that have rendered it so far."""
    stored = _stored(config)
    if stored is None:
        if (config.out / "image").exists():
            raise UserError(f"{config.out} has images but no dataset.json; give another folder to write to")
        return set()
    differences = [f"{k} was {stored.get(k)}, now {v}" for k, v in wanted.items() if stored.get(k) != v]
    if differences:
        raise UserError(
            f"{config.out} was begun with other settings: {'; '.join(differences)}\n"
            "type the same settings to continue it, or give another folder"
        )
    return set(stored["engine"].split("+"))


def _tone(config: Render, chosen: engine.Engine, photos: tone.Percentiles | None) -> tone.ToneCurve | None:
    """The curve that gives the rooms the tones of the photos: from dataset.json, else from the first views rendered
    small. None without --tone-of."""
    if photos is None:
        return None
    stored = _stored(config)
    if stored is not None:
        return tone.ToneCurve(stored["tone_curve"]["rooms"], photos)
    small = replace(config, size=PILOT_SIZE)
    first = _rooms(replace(config, shard=(1, 1)))[:PILOT_ROOMS]
    with _workers(small, chosen, len(first)) as pool:
        counts = list(pool.map(partial(_pilot_room, small), *zip(*first, strict=True)))
    return tone.ToneCurve(tone.percentiles(np.sum(counts, axis=0)), photos)


def _describe(
    config: Render,
    wanted: dict[str, Any],
    engines: set[str],
    catalogue: Catalogue | None,
    curve: tone.ToneCurve | None,
) -> None:
    """Write dataset.json."""
    cameras = {
        view: pinhole_of(config, room) for room, views in _rooms(replace(config, shard=(1, 1))) for view in views
    }
    write_json(
        config.out / "dataset.json",
        {
            "name": f"rooms-{config.style}-{config.seed}",
            "license": "CC-BY-3.0" if catalogue else "CC0-1.0",
            "notes": "rooms rendered by umadapt; labels are exact, one ray through each pixel centre",
            **({"attribution": catalogue.attribution()} if catalogue else {}),
            "camera": asdict(nyu_camera(*config.size)),
            "cameras": {f"{view:06d}": {"fx": camera.fx, "fy": camera.fy} for view, camera in cameras.items()},
            "tasks": {
                "depth": {"scale_m": 0.001, "max_m": MAX_DEPTH_M},
                "normals": {},
                "seg": {"classes": list(NYU40), "ignore": IGNORE},
            },
            "render": {
                **wanted,
                "engine": "+".join(sorted(engines)),
                "versions": versions(config),
                **({"tone_curve": asdict(curve)} if curve else {}),
            },
        },
    )


def versions(config: Render) -> dict[str, str]:
    """The packages whose version decides what the files are, to the byte."""
    names = ["mitsuba", "embreex", "numpy", "pillow", *(["pyoidn"] if config.denoiser == "oidn" else [])]
    return {name: importlib.metadata.version(name) for name in names}


def image_path(config: Render, view: int) -> Path:
    """Where the image of a view goes; labels go to the same name in their own folders."""
    return config.out / "image" / f"{view:06d}.{'jpg' if config.style == 'photo' else 'png'}"


def own_rooms(config: Render) -> Render:
    """With several ranks, the share of this one: a shard of the shard."""
    mine, shards = config.shard
    return replace(config, shard=(mine + shards * process_group.rank(), shards * process_group.size()))


def _rooms(config: Render) -> list[tuple[int, range]]:
    """(room, its views) for every room of the shard."""
    each, total = views_a_room(config), total_views(config)
    mine, shards = config.shard
    return [
        (room, range(room * each, min((room + 1) * each, total))) for room in range(mine - 1, -(-total // each), shards)
    ]


def _jobs(config: Render) -> list[tuple[int, list[int]]]:
    """(room, its views that are not there yet) for every room with something to do."""
    jobs = [(room, [v for v in views if not image_path(config, v).exists()]) for room, views in _rooms(config)]
    return [(room, todo) for room, todo in jobs if todo]


def _cores() -> int:
    """Cores that this process may use; not every system can tell which those are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _workers(config: Render, chosen: engine.Engine, jobs: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of worker processes for so many jobs."""
    workers = min(config.workers or max(1, _cores() // process_group.local_size()), jobs)
    context = multiprocessing.get_context("spawn")  # forked copies of Mitsuba's threads would hang
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (config, chosen, stop))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps for want of memory; what is finished is kept:\n"
            "type the same command again to continue, with fewer --workers or with --engine scalar"
        ) from error
    finally:
        stop.set()  # on an error or Ctrl-C the workers finish the view in hand, no more
        pool.shutdown(wait=True, cancel_futures=True)


def _render_all(
    config: Render,
    chosen: engine.Engine,
    curve: tone.ToneCurve | None,
    jobs: list[tuple[int, list[int]]],
    missing: int,
) -> None:
    progress = tqdm(total=missing, unit="view", smoothing=0.05, disable=True if process_group.rank() else None)
    with progress, _workers(config, chosen, len(jobs)) as pool:
        waiting: set[Future[int]] = {pool.submit(render_room, config, curve, room, views) for room, views in jobs}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                progress.update(future.result())


_stop: Any = None  # multiprocessing.Event of this worker process
_stock = Stock()  # furniture of this process


def prepare(config: Render, chosen: engine.Engine) -> None:
    """Make this process ready for `render_room`."""
    global _stock
    _stock = Stock(open_catalogue(config.furniture))
    tracer.start(chosen)
    denoise.start()


def _start_worker(config: Render, chosen: engine.Engine, stop: Any) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    prepare(config, chosen)


def _end_with_parent() -> None:
    """A killed parent stops nobody: without this its workers would wait for rooms for ever. Files are renamed whole."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


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


def _pilot_room(config: Render, room_index: int, views: range) -> np.ndarray:
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
    if config.style == "photo" and "sensor" not in config.without:
        return camera.develop_photo(linear, np.random.default_rng((config.seed, view, 2)))
    return camera.develop_plain(linear), camera.QUALITIES[1]


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
