"""What all benchmarks share: interleaved repeats, ratios, peak memory of a process of its own, the machine's name."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from umadapt.config import ModelSpec
from umadapt.data.batch import Batch
from umadapt.nets.model import UMAdapt

Times = dict[str, list[tuple[float, float]]]  # name -> (wall, CPU) seconds of each repeat
CLASSES = 40
CLEAR_REFS = Path("/proc/self/clear_refs")
SIZES = {  # what is measured: the paper's network and the demo's; the tests' is there to be fast
    "paper": {"backbone": "resnet50", "size": (228, 304)},
    "demo": {"backbone": "resnet10t", "size": (96, 128), "width": 0.25, "transfer_width": 0.25},
    "tiny": {"backbone": "test_resnet", "size": (64, 96), "width": 0.03, "transfer_width": 0.03},
}


def interleave(functions: Mapping[str, Callable[[], Any]], repeats: int, warm: int = 1) -> Times:
    """Call all functions in turn, `repeats` times: what else the machine does hits all of them alike."""
    times: Times = {name: [] for name in functions}
    for repeat in range(-warm, repeats):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if repeat >= 0:
                times[name].append(spent)
    return times


def summary(times: Times) -> dict[str, dict[str, float]]:
    """Median and range of the wall seconds, median of the CPU seconds."""
    return {
        name: {
            "wall_s": statistics.median(wall for wall, _ in values),
            "least_s": min(wall for wall, _ in values),
            "most_s": max(wall for wall, _ in values),
            "cpu_s": statistics.median(cpu for _, cpu in values),
        }
        for name, values in times.items()
    }


def ratio(times: Times, slow: str, fast: str) -> dict[str, float]:
    """How many times faster `fast` is: median and range over the repeats, each a pair of neighbours in time."""
    pairs = [a / b for (a, _), (b, _) in zip(times[slow], times[fast], strict=True)]
    cpu = [a / b for (_, a), (_, b) in zip(times[slow], times[fast], strict=True)]
    found = {"ratio": statistics.median(pairs), "least": min(pairs), "most": max(pairs)}
    return found | {"cpu_ratio": statistics.median(cpu)}


def call(*arguments: str) -> tuple[float, float]:
    """(wall, CPU) seconds of `umadapt ARGUMENTS`, its processes together."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "umadapt", *arguments], capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"umadapt {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peak_mib(module: str, *arguments: str) -> float:
    """Peak resident memory of `python -m module ARGUMENTS`, which prints it itself (see `own_peak`), in MiB."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    return float(done.stdout.split()[-1])


def forget_peak() -> None:
    """Begin `own_peak` anew: what making the networks took does not count."""
    CLEAR_REFS.write_text("5")  # man 5 proc


def own_peak() -> float:
    """Peak resident memory of this process so far, or since `forget_peak`, in MiB. Linux.

    Not `ru_maxrss`, which begins at that of the process that started this one.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def make_model(name: str, seed: int = 0) -> UMAdapt:
    """A network of random weights with both domains; `name` is one of SIZES."""
    torch.manual_seed(seed)
    spec: dict[str, Any] = SIZES[name]
    classes = tuple(f"class {i}" for i in range(CLASSES))
    model = UMAdapt(ModelSpec(classes=classes, class_frequencies=(1 / CLASSES,) * CLASSES, **spec))
    model.encoder.add_target()
    return model


def make_batch(model: UMAdapt, batch: int, seed: int = 0) -> Batch:
    """Random images and labels."""
    g = torch.Generator().manual_seed(seed)
    h, w = model.grid(model.spec.size)
    images = torch.rand(batch, 3, *model.spec.size, generator=g)
    truths = {
        "depth": torch.rand(batch, 1, h, w, generator=g) * 5 + 0.5,
        "normals": torch.nn.functional.normalize(torch.randn(batch, 3, h, w, generator=g), dim=1),
        "seg": torch.randint(0, CLASSES, (batch, h, w), generator=g),
    }
    contours = torch.rand(batch, 1, h, w, generator=g)
    return Batch([str(i) for i in range(batch)], images, contours=contours, truths=truths)


def machine() -> dict[str, Any]:
    """What was measured on."""
    from importlib.metadata import version

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),  # other jobs at the start
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": version("timm"),
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def parser(doc: str | None, *wanted: str) -> argparse.ArgumentParser:
    """--json, and those of --size, --batch and --repeats that are `wanted`; the question is the first line of `doc`."""
    out = argparse.ArgumentParser(description=(doc or "").strip().splitlines()[0])
    out.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    if "size" in wanted:
        out.add_argument("--size", choices=list(SIZES), default="paper", help="network and input size")
    if "batch" in wanted:
        out.add_argument("--batch", type=int, default=1, help="images at once")
    if "repeats" in wanted:
        out.add_argument("--repeats", type=int, default=5, help="interleaved repeats")
    return out


def report(result: Mapping[str, Any], path: Path | None) -> None:
    """Write --json."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")


def show(times: Times, yardstick: str, ours: str) -> str:
    """A line of a table: seconds of both, and their ratio."""
    found, by = summary(times), ratio(times, yardstick, ours)
    return (
        f"{found[yardstick]['wall_s']:9.3f} s {found[ours]['wall_s']:9.3f} s   "
        f"{by['ratio']:5.2f}x ({by['least']:.2f} to {by['most']:.2f}), CPU {by['cpu_ratio']:.2f}x"
    )
