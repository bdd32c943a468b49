"""What does a step cost beside other work? Threads that wait awake for long, as libgomp has it, and as `umadapt` has.

A training step of the demo's encoder and decoders on all cores, in processes of their own, first on a machine that is
otherwise idle, then beside as many busy processes as there are cores.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from benchmarks.measure import Times, make_batch, make_model, parser, ratio, report, summary

from umadapt.cli import SPINS

WAITS = {"libgomp": {}, "umadapt": {"GOMP_SPINCOUNT": SPINS}}


def steps(size: str, batch: int, count: int) -> float:
    """Median seconds of a forward and backward pass of all tasks."""
    model = make_model(size).train().to(memory_format=torch.channels_last)
    images = make_batch(model, batch).images
    spent = []
    for _ in range(count + 1):
        start = time.perf_counter()
        torch.stack([x.square().mean() for x in model(images, "source").values()]).sum().backward()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:])


def elsewhere(size: str, batch: int, wait: dict[str, str]) -> tuple[float, float]:
    """(seconds of a step, CPU seconds of it all) in a process that waits so."""
    plain = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    command = [sys.executable, "-m", "benchmarks.neighbours", "--size", size, "--batch", str(batch), "--child"]
    before = os.times()
    done = subprocess.run(command, env=plain | wait, capture_output=True, text=True, check=True)
    after = os.times()
    return float(done.stdout), after.children_user - before.children_user


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but keep a core busy."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    arguments = parser(__doc__, "size", "batch", "repeats")
    arguments.add_argument("--child", action="store_true", help="measure in this process")
    arguments.set_defaults(size="demo", batch=12, repeats=2)
    given = arguments.parse_args()
    if given.child:
        print(steps(given.size, given.batch, 3))
        return
    found = {}
    for name, count in (("idle", 0), ("beside others", os.cpu_count() or 1)):
        times: Times = {wait: [] for wait in WAITS}
        with busy(count):
            for _ in range(given.repeats):
                for wait, variables in WAITS.items():
                    times[wait].append(elsewhere(given.size, given.batch, variables))
        rows, by = summary(times), ratio(times, "libgomp", "umadapt")
        found[name] = {"rows": rows, "speedup": by}
        seconds = ", ".join(f"{wait} {row['wall_s']:.2f} s" for wait, row in rows.items())
        print(f"{name:14} {seconds}: {by['ratio']:.2f}x ({by['least']:.2f} to {by['most']:.2f})", flush=True)
    report({"question": "neighbours", "batch": given.batch, "found": found}, given.json)


if __name__ == "__main__":
    main()
