"""How long until something happens? `--help`, and the first training step at the demo's size, imports warm."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.loading import write_world
from benchmarks.measure import Times, parser, report, summary

DEMO = "--backbone resnet10t --weights none --size 96x128 --width 0.25 --transfer-width 0.25 --batch 2".split()


def call(*arguments: str) -> tuple[float, float]:
    """(wall, CPU) seconds of a command line of ours."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "umadapt", *arguments], check=True, capture_output=True, env=os.environ)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    given = parser(__doc__).parse_args()
    times: Times = {"--help": [], "train --help": [], "first step": []}
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder) / "world", 4)
        for repeat in range(-1, given.repeats):
            out = Path(folder) / f"run{repeat}"
            train = ["train", "--source", f"{folder}/world", "--out", str(out), *DEMO, "--holdout", "0"]
            for name, arguments in {
                "--help": ["--help"],
                "train --help": ["train", "--help"],
                "first step": [*train, "--stage", "transfer", "--transfer-steps", "1"],
            }.items():
                spent = call(*arguments)
                if repeat >= 0:
                    times[name].append(spent)
    rows = summary(times)
    for name, row in rows.items():
        print(
            f"{name:14} {row['wall_s']:.2f} s ({row['least_s']:.2f} to {row['most_s']:.2f}), CPU {row['cpu_s']:.2f} s"
        )
    report({"question": "start", "rows": rows}, given.json)


if __name__ == "__main__":
    main()
