"""The demo: rooms with labels, "photos" of other rooms in dim light without; what adaptation is worth on held-out ones.

Training goes on from the model that ships, on the demo's own rooms; so the pictures are sharp after minutes. All three
sets are rendered: no photo is needed, and there is a truth to measure by.

Cost: 7 minutes on two idle cores with AVX-512, rendering with LLVM. Expected: see docs/results.md.
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
from umadapt.scenes import engine

OUT = Path("demo")
SIZE = "--size 192x256"
# what the model that ships was trained with
LIKE_IT = (
    "--init indoor-base --preset small --transfer 'seg<-depth,normals' --alpha 0 --depth-loss log --normals plane-fit"
)
FAST = "--precision auto"
# what to run, and the seconds that it takes on two idle cores with AVX-512, its rendering with LLVM
COMMANDS = f"""
40 render {OUT}/rooms  --views 120 {SIZE} --style photo --seed 1 --furniture none
30 render {OUT}/photos --views 100 {SIZE} --style dim --seed 2 --furniture none
20 render {OUT}/test   --views 60 {SIZE} --style dim --seed 3 --furniture none
100 train --source {OUT}/rooms --out {OUT}/base {LIKE_IT} {SIZE} {FAST}
       --transfer-steps 40 --base-steps 50 --contour-steps 20 --lr 2e-4
12 adapt {OUT}/base --target {OUT}/photos --out {OUT}/adabn --method adabn
60 adapt {OUT}/base --target {OUT}/photos --out {OUT}/noadv --method noadv --steps 40 {FAST}
100 adapt {OUT}/base --target {OUT}/photos --out {OUT}/self-training --method self-training --steps 80 --batch 8
       --no-keep-level {FAST}
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
    from umadapt.reports.picture_grid import grid  # torch wants to be imported by a command, which prepares for it

    picture = OUT / "demo.png"
    write_image(picture, grid(SHOWN, f"{OUT}/test", "raw", False, 6, "cpu", wide=True))
    print("\n" + table(json.loads((OUT / "metrics.json").read_text())))
    print(f"\nLook at {picture}, and open {OUT}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(run())
