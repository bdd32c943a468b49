"""A data set of rooms: drawn, seen, labelled and rendered by worker processes into the folder format.

Everything about a room follows from (seed, room index) and about a view from (seed, view index), so the files do not
depend on the number of workers or shards, nor on where an earlier run stopped. The image is written last: its presence
means that the view is complete.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from concurrent.futures import Future
from dataclasses import asdict, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from tqdm import tqdm

from umadapt.config.data import Render
from umadapt.data.atomic import sweep, write_json
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.scenes import denoise, engine, tone
from umadapt.scenes.classes import IGNORE, NYU40
from umadapt.scenes.labels import require_embree
from umadapt.scenes.pool import workers
from umadapt.scenes.renderer import MAX_DEPTH_M, image_path, pilot_room, pinhole_of, render_room, views_a_room
from umadapt.scenes.sweethome.catalogue import Catalogue, open_catalogue
from umadapt.scenes.views import nyu_camera

GENERATOR = 6  # raise it when the same seed gives other rooms, so that an old set is not continued with new ones
PILOT_ROOMS, PILOT_SIZE = 32, (90, 120)  # whose tones stand for those of the set


def render_set(config: Render) -> str:
    """Make or continue a data set.

    Returns:
        a line on what is there now, for people.

    Raises:
        UserError: Embree, the furniture or the engine is not there, or the folder holds a set of other settings.
    """
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
    return f"{config.out}: {share} views{part}{skipped}, engine {'+'.join(sorted(engines))}"


def resolved(config: Render) -> Render:
    """The denoiser that is there, and its samples where none are asked for."""
    denoiser = denoise.choose(config.denoiser)
    return replace(config, denoiser=denoiser, spp=config.spp or denoise.samples(denoiser, config.size[1]))


def total_views(config: Render) -> int:
    """Images of the whole set, all shards together."""
    return config.rooms * config.views if config.rooms else config.views


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


def _difference(name: str, stored: Any, wanted: Any) -> str:
    if name != "tone_of":
        return f"{name} was {stored}, now {wanted}"
    was, now = ("no photos" if percentiles is None else "photos" for percentiles in (stored, wanted))
    return f"the tones were those of {was}, now of {'other ' if was == now else ''}{now}"


def _check_stored(config: Render, wanted: dict[str, Any]) -> set[str]:
    """Refuse to continue a set with other settings. Returns the engines that have rendered it so far."""
    stored = _stored(config)
    if stored is None:
        if (config.out / "image").exists():
            raise UserError(f"{config.out} has images but no dataset.json; give another folder to write to")
        return set()
    differences = [_difference(k, stored.get(k), v) for k, v in wanted.items() if stored.get(k) != v]
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
    with workers(small, chosen, len(first)) as pool:
        counts = list(pool.map(partial(pilot_room, small), *zip(*first, strict=True)))
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


def _render_all(
    config: Render,
    chosen: engine.Engine,
    curve: tone.ToneCurve | None,
    jobs: list[tuple[int, list[int]]],
    missing: int,
) -> None:
    progress = tqdm(total=missing, unit="view", smoothing=0.05, disable=True if process_group.rank() else None)
    with progress, workers(config, chosen, len(jobs)) as pool:
        # a queue, not concurrent.futures.wait: a signal inside that leaves the locks of futures held for ever
        done: SimpleQueue[Future[int]] = SimpleQueue()
        for room, views in jobs:
            pool.submit(render_room, config, curve, room, views).add_done_callback(done.put)
        for _ in jobs:
            progress.update(done.get().result())
