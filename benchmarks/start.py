"""How long until something happens? `--help`, and the first training step at the demo's size, imports warm."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.loading import write_world
from benchmarks.measure import Times, call, parser, report, summary

DEMO = "--backbone resnet10t --weights none --size 96x128 --width 0.25 --transfer-width 0.25 --batch 2".split()


def main() -> None:
    given = parser(__doc__, "repeats").parse_args()
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
        spread = f"({row['least_s']:.2f} to {row['most_s']:.2f})"
        print(f"{name:14} {row['wall_s']:.2f} s {spread}, CPU {row['cpu_s']:.2f} s")
    report({"question": "start", "rows": rows}, given.json)


if __name__ == "__main__":
    main()
