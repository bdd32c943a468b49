"""How long does a rendered view take? Rooms, rays, path tracing, denoising and files, by `umadapt render`.

A run of few views and one of more: the difference is what a view takes, the rest is the start (imports, compiling).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.measure import call, parser, report

SETTINGS = "--furniture none --spp 8 --workers 1".split()
SIZES = ("96x128", "480x640")
STYLES = ("synthetic", "photo")
ROOM = 4  # views, as `render` makes them


def seconds(size: str, style: str, more: int) -> dict[str, float]:
    """Wall and CPU seconds of the start, with one room, and of each view of `more` rooms."""
    with tempfile.TemporaryDirectory() as folder:
        look = ["--size", size, "--style", style, *SETTINGS]
        one = call("render", str(Path(folder) / "one"), "--views", str(ROOM), *look)
        all = call("render", str(Path(folder) / "all"), "--views", str(ROOM * (1 + more)), *look)
    wall, cpu = ((long - short) / (ROOM * more) for long, short in zip(all, one, strict=True))
    return {"view_wall_s": wall, "view_cpu_s": cpu, "start_wall_s": one[0] - ROOM * wall}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rooms", type=int, default=4, help=f"rooms of {ROOM} views whose time counts")
    options.add_argument("--sizes", default=",".join(SIZES), help="of the views")
    given = options.parse_args()
    rows = {}
    for size in given.sizes.split(","):
        for style in STYLES:
            row = rows[f"{size} {style}"] = seconds(size, style, given.rooms)
            print(
                f"{size:>8} {style:10} {row['view_wall_s']:6.2f} s a view, CPU {row['view_cpu_s']:.2f} s; "
                f"{row['start_wall_s']:.1f} s to start",
                flush=True,
            )
    report({"question": "rendering", "settings": SETTINGS, "rows": rows}, given.json)


if __name__ == "__main__":
    main()
