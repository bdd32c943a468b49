"""The demo: two small rendered worlds, one with labels, one without; what adaptation is worth on held-out photos.

Cost: 40 CPU-minutes on two cores with AVX-512, about twice that without; 2 GB of memory.
Expected: see docs/results.md. Writes demo/report.html and demo/metrics.json, and prints the table.
Run again, it goes on where it stopped.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from umadapt.cli import main

OUT = Path("demo")
SIZE = "--size 96x128"
COMMANDS = f"""
render {OUT}/rooms  --views 320 {SIZE} --style synthetic --seed 1 --furniture none --spp 8
render {OUT}/photos --views 120 {SIZE} --style photo --seed 2 --furniture none --spp 8
render {OUT}/test   --views 100 {SIZE} --style photo --seed 3 --furniture none --spp 8
train --source {OUT}/rooms --out {OUT}/base --backbone resnet10t --weights none {SIZE}
      --width 0.25 --transfer-width 0.25 --transfer-steps 1000 --base-steps 900 --contour-steps 100
      --batch 12 --lr 1e-3 --optimiser joint --alpha 0.1
adapt {OUT}/base --target {OUT}/photos --out {OUT}/adabn --method adabn
adapt {OUT}/base --target {OUT}/photos --out {OUT}/noadv --method noadv
adapt {OUT}/base --target {OUT}/photos --out {OUT}/adv   --method adv
evaluate {OUT}/base  --data {OUT}/test
evaluate {OUT}/adabn --data {OUT}/test
evaluate {OUT}/noadv --data {OUT}/test
evaluate {OUT}/adv   --data {OUT}/test
score {OUT}/base {OUT}/adabn {OUT}/noadv {OUT}/adv --photos {OUT}/photos
report {OUT}/base {OUT}/adabn {OUT}/noadv {OUT}/adv --out {OUT}/report.html --json {OUT}/metrics.json
"""


def commands() -> list[list[str]]:
    """The lines above as arguments; a line that begins with a space goes on with the one before."""
    joined = COMMANDS.strip().replace("\n ", " ")
    return [shlex.split(line) for line in joined.splitlines()]


def table(metrics: dict) -> str:
    """The headline figures of every variant."""
    rows = [f"{'variant':<14}{'depth rel':>11}{'rms (m)':>9}{'normals (deg)':>15}{'mIoU':>8}{'pixel acc':>11}"]
    for name, entry in metrics.items():
        if name != "default":
            depth, normals, seg = entry["depth"], entry["normals"], entry["seg"]
            rows.append(
                f"{name + (' *' if name == metrics['default'] else ''):<14}{depth['rel']:>11.3f}{depth['rms']:>9.3f}"
                f"{normals['mean']:>15.1f}{seg['miou']:>8.3f}{seg['pacc']:>11.3f}"
            )
    return "\n".join(rows) + "\n* what `umadapt adapt` runs when no method is given"


if __name__ == "__main__":
    for arguments in commands():
        print("\n$ umadapt " + " ".join(arguments), flush=True)
        code = main(arguments)
        if code:
            sys.exit(code)
    print("\n" + table(json.loads((OUT / "metrics.json").read_text())))
    print(f"\nOpen {OUT}/report.html")
