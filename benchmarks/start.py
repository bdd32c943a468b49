"""How long until something happens? `--help`, and a training of one step at the demo's size, imports done or not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.loading import write_world
from benchmarks.measure import Times, call, parser, report, summary

DEMO = "--backbone resnet10t --weights none --size 96x128 --width 0.25 --transfer-width 0.25 --batch 2".split()
# wall and CPU seconds of the imports, then of the command; an optimiser imports half of torch when it is made
PARTS = """
import sys, time
def lap():
    return time.perf_counter(), time.process_time()
start = lap()
import torch, umadapt.training.sample_sheet, umadapt.commands.train
from umadapt.cli import main
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
ready = lap()
code = main(sys.argv[1:])
end = lap()
print(*(b - a for x, y in ((start, ready), (ready, end)) for a, b in zip(x, y)))
sys.exit(code)
"""


def parts(*arguments: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """(wall, CPU) seconds of the imports of a training, and of `umadapt ARGUMENTS` once they are done."""
    done = subprocess.run([sys.executable, "-c", PARTS, *arguments], capture_output=True, text=True, check=True)
    a, b, c, d = map(float, done.stdout.splitlines()[-1].split())
    return (a, b), (c, d)


def main() -> None:
    given = parser(__doc__, "repeats").parse_args()
    times: Times = {"--help": [], "train --help": [], "one step, process": [], "imports": [], "one step, imported": []}
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder) / "world", 4)
        for repeat in range(-1, given.repeats):

            def train(name: str) -> list[str]:
                words = f"train --source {folder}/world --holdout 0 --stage transfer --transfer-steps 1 --out".split()
                return [*words, f"{folder}/{name}{repeat}", *DEMO]  # noqa: B023

            imports, command = parts(*train("imported"))
            spent = [call("--help"), call("train", "--help"), call(*train("process")), imports, command]
            if repeat >= 0:
                for name, seconds in zip(times, spent, strict=True):
                    times[name].append(seconds)
    rows = summary(times)
    for name, row in rows.items():
        spread = f"({row['least_s']:.2f} to {row['most_s']:.2f})"
        print(f"{name:18} {row['wall_s']:.2f} s {spread}, CPU {row['cpu_s']:.2f} s")
    report({"question": "start", "rows": rows}, given.json)


if __name__ == "__main__":
    main()
