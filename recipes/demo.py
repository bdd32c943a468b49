"""The demo: two small rendered worlds, one with labels, one without; what adaptation is worth on held-out photos.

Cost: 8 minutes on two idle cores with AVX-512, rendering with LLVM. Expected: see docs/results.md.
Writes demo/demo.png, demo/report.html and demo/metrics.json, and prints the table. Run again, it goes on where it
stopped.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path

from umadapt.cli import main
from umadapt.data.files import write_image
from umadapt.reports.picture_grid import grid
from umadapt.scenes import engine

OUT = Path("demo")
SIZE = "--size 96x128"
# what to run, and the seconds that it takes on two idle cores with AVX-512, its rendering with LLVM
COMMANDS = f"""
40 render {OUT}/rooms  --views 240 {SIZE} --style synthetic --seed 1 --furniture none
20 render {OUT}/photos --views 100 {SIZE} --style photo --seed 2 --furniture none
12 render {OUT}/test   --views 60 {SIZE} --style photo --seed 3 --furniture none
250 train --source {OUT}/rooms --out {OUT}/base --preset small {SIZE}
       --transfer-steps 300 --base-steps 500 --contour-steps 50
8 adapt {OUT}/base --target {OUT}/photos --out {OUT}/adabn --method adabn
75 adapt {OUT}/base --target {OUT}/photos --out {OUT}/noadv --method noadv --steps 100
70 adapt {OUT}/base --target {OUT}/photos --out {OUT}/self-training --method self-training --steps 120 --batch 8
3 evaluate {OUT}/base --data {OUT}/test
3 evaluate {OUT}/adabn --data {OUT}/test
3 evaluate {OUT}/noadv --data {OUT}/test
3 evaluate {OUT}/self-training --data {OUT}/test
10 report {OUT}/base {OUT}/adabn {OUT}/noadv {OUT}/self-training --out {OUT}/report.html --json {OUT}/metrics.json
"""
SCALAR = 3.0  # how much longer Mitsuba's scalar engine renders: a guess
SHOWN = {"source only": OUT / "base", "adapted": OUT / "self-training"}


def commands() -> list[tuple[float, list[str]]]:
    """The lines above as expected seconds and arguments; one that begins with a space goes on with the one before."""
    lines = [shlex.split(line) for line in COMMANDS.strip().replace("\n ", " ").splitlines()]
    return [(float(seconds), arguments) for seconds, *arguments in lines]


def table(metrics: dict) -> str:
    """The headline figures of every variant."""
    rows = [f"{'variant':<16}{'depth rel':>11}{'rms (m)':>9}{'normals (deg)':>15}{'mIoU':>8}{'pixel acc':>11}"]
    for name, entry in metrics.items():
        if name != "default":
            depth, normals, seg = entry["depth"], entry["normals"], entry["seg"]
            rows.append(
                f"{name + (' *' if name == metrics['default'] else ''):<16}{depth['rel']:>11.3f}{depth['rms']:>9.3f}"
                f"{normals['mean']:>15.1f}{seg['miou']:>8.3f}{seg['pacc']:>11.3f}"
            )
    return "\n".join(rows) + "\n* what `umadapt adapt` runs when no method is given"


def minutes(seconds: float) -> str:
    """For people."""
    return "under a minute" if seconds < 45 else f"about {round(seconds / 60) or 1} min"


def run() -> int:
    """All commands, with the time left for the whole; the table and the picture at the end."""
    chosen, _ = engine.choose("auto")
    slow = chosen.name == "scalar"
    steps = [(s * SCALAR if slow and line[0] == "render" else s, line) for s, line in commands()]
    whole = sum(seconds for seconds, _ in steps)
    print(f"the demo takes {minutes(whole)} on two idle cores of a machine like ours, Mitsuba by {chosen.name}")
    if slow:
        print("it renders faster with LLVM: .venv/bin/pip install karellen-llvm-core")
    start, done = time.monotonic(), 0.0
    for seconds, arguments in steps:
        pace = (time.monotonic() - start) / done if done > 60 else 1.0  # of this machine, once it has shown it
        print(f"\n[{minutes(pace * (whole - done))} left] $ umadapt {' '.join(arguments)}", flush=True)
        code = main(arguments)
        if code:
            return code
        done += seconds
    picture = OUT / "demo.png"
    write_image(picture, grid(SHOWN, f"{OUT}/test", "raw", False, 3, "cpu"))
    print("\n" + table(json.loads((OUT / "metrics.json").read_text())))
    print(f"\nLook at {picture}, and open {OUT}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(run())
