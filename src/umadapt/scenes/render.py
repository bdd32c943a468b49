"""`umadapt render`: rooms drawn, seen, labelled and rendered by worker processes into the folder format.

Everything about a room follows from (seed, room index) and about a view from (seed, view index), so the files do not
depend on the number of workers, nor on where an earlier run stopped. The image is written last: its presence means
that the view is complete.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import multiprocessing
import os
import signal
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.config import Render
from umadapt.data.folder import write_depth, write_image, write_json, write_normals, write_seg
from umadapt.errors import UserError
from umadapt.scenes import camera, denoise, engine, tracer
from umadapt.scenes.classes import IGNORE, NYU40
from umadapt.scenes.labels import Pose, cast
from umadapt.scenes.layout import Room
from umadapt.scenes.rooms import draw_room
from umadapt.scenes.style import LIGHTS
from umadapt.scenes.views import draw_views, nyu_camera

GENERATOR = 1  # raise it when the same seed gives other rooms, so that an old set is not continued with new ones
MAX_DEPTH_M = 10.0
_ROOM_TRIES = 50


def run(config: Render) -> int:
    """Make or continue a data set. Returns the exit code 0; raises UserError for what the user can mend."""
    chosen, remark = engine.choose(config.engine)
    _describe(config, chosen)
    jobs = _jobs(config)
    if remark:
        print(remark, file=sys.stderr)
    missing = sum(len(views) for _, views in jobs)
    if jobs:
        _render_all(config, chosen, jobs, missing)
    skipped = f" ({config.views - missing} were there already)" if missing < config.views else ""
    print(f"{config.out}: {config.views} views{skipped}, engine {chosen.name}")
    return 0


def settings(config: Render) -> dict[str, Any]:
    """What decides the content of a view: a set may only be continued with the same."""
    return {
        "generator": GENERATOR,
        "style": config.style,
        "seed": config.seed,
        "size": list(config.size),
        "spp": config.spp,
        "views_per_room": config.views_per_room,
    }


def _describe(config: Render, chosen: engine.Engine) -> None:
    """Write dataset.json, or check that the one there belongs to the same settings."""
    path, wanted, engines = config.out / "dataset.json", settings(config), {chosen.name}
    if path.exists():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))["render"]
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise UserError(f"{path} was not written by `umadapt render`; give another folder to write to") from error
        differences = [f"{k} was {stored.get(k)}, now {v}" for k, v in wanted.items() if stored.get(k) != v]
        if differences:
            raise UserError(
                f"{config.out} was begun with other settings: {'; '.join(differences)}\n"
                "type the same settings to continue it, or give another folder"
            )
        engines |= set(stored["engine"].split("+"))
    elif (config.out / "image").exists():
        raise UserError(f"{config.out} has images but no dataset.json; give another folder to write to")
    pinhole = nyu_camera(*config.size)
    write_json(
        path,
        {
            "name": f"rooms-{config.style}-{config.seed}",
            "license": "CC0-1.0",
            "notes": "procedural rooms rendered by umadapt; labels are exact, one ray through each pixel centre",
            "camera": asdict(pinhole),
            "tasks": {
                "depth": {"scale_m": 0.001, "max_m": MAX_DEPTH_M},
                "normals": {},
                "seg": {"classes": list(NYU40), "ignore": IGNORE},
            },
            "render": {
                **wanted,
                "engine": "+".join(sorted(engines)),
                "mitsuba": importlib.metadata.version("mitsuba"),
            },
        },
    )


def image_path(config: Render, view: int) -> Path:
    """Where the image of a view goes; labels go to the same name in their own folders."""
    return config.out / "image" / f"{view:06d}.{'jpg' if config.style == 'photo' else 'png'}"


def _jobs(config: Render) -> list[tuple[int, list[int]]]:
    """(room, its views that are not there yet) for every room with something to do."""
    jobs = []
    for room in range(-(-config.views // config.views_per_room)):
        first = room * config.views_per_room
        views = range(first, min(first + config.views_per_room, config.views))
        todo = [view for view in views if not image_path(config, view).exists()]
        if todo:
            jobs.append((room, todo))
    return jobs


def _cores() -> int:
    """Cores that this process may use; not every system can tell which those are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _render_all(config: Render, chosen: engine.Engine, jobs: list[tuple[int, list[int]]], missing: int) -> None:
    workers = min(config.workers or _cores(), len(jobs))
    context = multiprocessing.get_context("spawn")  # forked copies of Mitsuba's threads would hang
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_worker, (chosen, stop))
    progress = tqdm(total=missing, unit="view", smoothing=0.05, disable=None)
    try:
        waiting: set[Future[int]] = {pool.submit(_render_room, config, room, views) for room, views in jobs}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                progress.update(future.result())
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps for want of memory; what is finished is kept:\n"
            "type the same command again to continue, with fewer --workers or with --engine scalar"
        ) from error
    finally:
        stop.set()  # on an error or Ctrl-C the workers finish the view in hand, no more
        pool.shutdown(wait=True, cancel_futures=True)
        progress.close()


_stop: Any = None  # multiprocessing.Event of this worker process


def _start_worker(chosen: engine.Engine, stop: Any) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    tracer.start(chosen)


def furnish(config: Render, room_index: int) -> tuple[Room, list[Pose]]:
    """The room of that index and all its camera poses; a room without enough good views is drawn anew."""
    pinhole = nyu_camera(*config.size)
    for attempt in range(_ROOM_TRIES):
        rng = np.random.default_rng((config.seed, room_index, attempt))
        room = draw_room(rng)
        poses = draw_views(rng, room, pinhole, config.views_per_room)
        if len(poses) == config.views_per_room:
            return room, poses
    raise UserError(
        f"no room with {config.views_per_room} good views was found in {_ROOM_TRIES} tries; "
        "give a smaller --views-per-room"
    )


def _render_room(config: Render, room_index: int, views: list[int]) -> int:
    try:
        room, poses = furnish(config, room_index)
        scene = tracer.build(room, config.style, (config.seed, room_index, 1 << 20))
        for count, view in enumerate(views):
            if _stop is not None and _stop.is_set():
                return count
            _render_view(config, room, scene, poses[view % config.views_per_room], view)
    except Exception as error:
        with contextlib.suppress(AttributeError):
            error.add_note(f"while rendering room {room_index}, views {views}")
        raise
    return len(views)


def _render_view(config: Render, room: Room, scene: Any, pose: Pose, view: int) -> None:
    pinhole, triangles = nyu_camera(*config.size), room.triangles()
    index, depth_m, normal = cast(triangles.corners, pose, pinhole)
    normals = normal[index]  # (H, W, 3)
    seed = np.random.SeedSequence((config.seed, view))
    color, albedo = tracer.render(scene, pose, pinhole, config.spp, int(seed.generate_state(1)[0]))
    points = pinhole.rays() * depth_m[..., None] * [1.0, -1.0, -1.0]  # (H, W, 3), in the frame of the normals
    lamps = np.array([part.material in LIGHTS for part in room.parts])[triangles.part[index]]
    linear = denoise.denoise(color, albedo, points, normals, lamps)
    name = f"{view:06d}.png"
    write_depth(config.out / "depth" / name, np.where(depth_m <= MAX_DEPTH_M, depth_m, 0.0))
    write_normals(config.out / "normals" / name, normals)
    write_seg(config.out / "seg" / name, triangles.label[index].astype(np.uint8))
    if config.style == "photo":
        image, quality = camera.develop_photo(linear, np.random.default_rng((config.seed, view, 2)))
        write_image(image_path(config, view), image, quality)
    else:
        write_image(image_path(config, view), camera.develop_plain(linear))
