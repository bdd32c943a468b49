"""How long does a rendered view take, stage by stage, and against an earlier commit?

    python -m benchmarks.rendering --rooms 10 --before 2954742 --before-options "--spp 12"

A run of one room and one of more: the difference is what a view takes, the rest is the start (imports, compiling). With
`--before REVISION` that revision's code renders as many rooms, in turn. Where a view's time goes is told by timers in
one process.
"""

from __future__ import annotations

import contextlib
import io
import operator
import os
import subprocess
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.measure import call, parser, report

from umadapt import scenes
from umadapt.config.data import Render
from umadapt.config.options import parse_size
from umadapt.scenes import engine, render, renderer

SETTINGS = "--workers 1 --style photo --seed 7"
SIZES = ("120x160", "240x320")
ROOM = 4  # views, as `render` makes them
STAGES = {  # what `renderer` calls -> the stage that it belongs to
    "draw_room": "room",
    "draw_views": "cameras",
    "tracer.build": "build",
    "cast": "labels",
    "tracer.render": "colour",
    "denoise.oidn": "denoise",
    "denoise.atrous": "denoise",
    "camera.develop_photo": "develop",
    "write_depth": "write",
    "write_normals": "write",
    "write_seg": "write",
    "write_image": "write",
}


def seconds(options: list[str], rooms: int, source: Path | None = None) -> dict[str, float]:
    """Wall and CPU seconds of the start, with one room, and of each view of `rooms` more; by the code in `source`."""
    path = {"PYTHONPATH": str(source)} if source else {}
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, path):
        one = call("render", str(Path(folder) / "one"), "--views", str(ROOM), *options)
        all = call("render", str(Path(folder) / "all"), "--views", str(ROOM * (1 + rooms)), *options)
    wall, cpu = ((long - short) / (ROOM * rooms) for long, short in zip(all, one, strict=True))
    return {"view_wall_s": wall, "view_cpu_s": cpu, "start_wall_s": one[0] - ROOM * wall}


def by_stage(size: str, rooms: int, furniture: str) -> dict[str, float]:
    """CPU seconds of a view by stage; what remains is "rest"."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            begin = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[stage] += time.process_time() - begin

        return run

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as patches:
        config = render.resolved(
            Render(Path(folder), size=parse_size(size), style="photo", furniture=furniture, views=ROOM * (1 + rooms))
        )
        renderer.prepare(config, engine.choose(config.engine)[0])
        renderer.render_room(config, None, 0, [0])  # compiles what every room needs
        for name, stage in STAGES.items():
            module, _, function = f"renderer.{name}".rpartition(".")
            holder = operator.attrgetter(module)(scenes)
            patches.enter_context(mock.patch.object(holder, function, timed(stage, getattr(holder, function))))
        begin = time.process_time()
        for room in range(1, 1 + rooms):
            renderer.render_room(config, None, room, list(range(ROOM * room, ROOM * (room + 1))))
        whole = time.process_time() - begin
    spent["rest"] = whole - sum(spent.values())
    return {stage: value / (ROOM * rooms) for stage, value in spent.items()}


def checkout(revision: str, folder: str) -> Path:
    """The `src` of a revision of this repository, unpacked."""
    packed = subprocess.run(["git", "archive", revision, "src"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return Path(folder) / "src"


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rooms", type=int, default=4, help=f"rooms of {ROOM} views whose time counts")
    options.add_argument("--sizes", default=",".join(SIZES), help="of the views")
    options.add_argument("--furniture", default="auto", help="as of `umadapt render`")
    options.add_argument("--before", default="", help="git revision to compare with")
    options.add_argument("--before-options", default="", help="more options of `umadapt render` for that revision")
    given = options.parse_args()
    rows: dict[str, Any] = {}
    for size in given.sizes.split(","):
        look = ["--size", size, "--furniture", given.furniture, *SETTINGS.split()]
        with tempfile.TemporaryDirectory() as folder:
            source = checkout(given.before, folder) if given.before else None
            before = seconds([*look, *given.before_options.split()], given.rooms, source) if source else None
        row: dict[str, Any] = seconds(look, given.rooms)
        print(f"{size:>8} {row['view_wall_s']:6.2f} s a view, CPU {row['view_cpu_s']:.2f} s; ", end="")
        print(f"{row['start_wall_s']:.1f} s to start", flush=True)
        if before:
            row |= {"before": before, "cpu_ratio": before["view_cpu_s"] / row["view_cpu_s"]}
            print(f"         before: CPU {before['view_cpu_s']:.2f} s, {row['cpu_ratio']:.2f} times as much")
        row["stages_cpu_s"] = by_stage(size, given.rooms, given.furniture)
        print("         CPU s:", ", ".join(f"{stage} {value:.3f}" for stage, value in row["stages_cpu_s"].items()))
        rows[size] = row
    report({"question": "rendering", "settings": SETTINGS, "rows": rows}, given.json)


if __name__ == "__main__":
    main()
