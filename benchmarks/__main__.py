"""`make bench`: every question at batch 1, each in a process of its own; the goals beside what was measured."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import machine

RUNS = {  # name -> module and arguments
    "step": "step --repeats 3",
    "step-demo": "step --size demo --batch 12 --repeats 5",
    "predict": "predict --repeats 7",
    "loading": "loading",
    "memory": "memory",
    "upsample": "upsample --repeats 3",
    "growth": "growth --repeats 3",
    "start": "start --repeats 3",
}


def goals(found: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """(what, measured, goal, whether more is better)."""
    steps, memory = found["step"]["steps"], found["memory"]["mib"]
    return [
        ("noadv step, --forward shared, times faster", steps["noadv"]["speedup"]["literal/shared"]["ratio"], 5.0, True),
        ("noadv step, default, times faster", steps["noadv"]["speedup"]["literal/ours"]["ratio"], 5.0, True),
        ("adv step, --forward shared, times faster", steps["adv"]["speedup"]["literal/shared"]["ratio"], 5.0, True),
        ("adv step, default, times faster", steps["adv"]["speedup"]["literal/ours"]["ratio"], 5.0, True),
        ("base step, times faster", steps["base"]["speedup"]["literal/ours"]["ratio"], 2.0, True),
        ("prediction of all tasks, times faster", found["predict"]["speedup"]["ratio"], 3.0, True),
        ("prediction over a single task's, times", found["predict"]["over_single_task"]["ratio"], 2.5, False),
        ("step over loading of a photo", found["loading"]["rows"]["photos, again"]["steps_ratio"], 3.0, True),
        ("peak memory of adapt, of the literal one", memory["ours"] / memory["literal"], 1 / 3, False),
        ("first step, s", found["start"]["rows"]["first step"]["wall_s"], 3.0, False),
        ("--help, s", found["start"]["rows"]["--help"]["wall_s"], 1.0, False),
    ]


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").strip())
    options.add_argument("--json", type=Path, metavar="FILE", help="write all figures here")
    given = options.parse_args()
    found: dict[str, Any] = {}
    print(", ".join(f"{k} {v}" for k, v in machine().items()))
    with tempfile.TemporaryDirectory() as folder:
        for name, words in RUNS.items():
            module, *arguments = words.split()
            print(f"\n== {name}", flush=True)
            path = Path(folder) / f"{name}.json"
            subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(path)], check=True)
            found[name] = json.loads(path.read_text())
    print(f"\n{'goal':44} {'measured':>9} {'wanted':>9}")
    for what, measured, goal, more in goals(found):
        met = measured >= goal if more else measured <= goal
        print(f"{what:44} {measured:9.2f} {'>=' if more else '<='}{goal:7.2f}  {'met' if met else 'not met'}")
    if given.json is not None:
        given.json.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
