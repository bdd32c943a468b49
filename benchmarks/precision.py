"""A training step of `--preset small` in float32 and under `--precision bf16`, turn about, in CPU seconds.

python -m benchmarks.precision [--size 120x160] [--batch 12] [--threads 1]
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import torch
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.config.options import parse_size
from umadapt.config.presets import small
from umadapt.data.batch import Batch
from umadapt.methods import base_model
from umadapt.nets.model import UMAdapt
from umadapt.training.stage import Stage
from umadapt.training.trainer import computed

CLASSES = 40


def batch_of(model: UMAdapt, count: int) -> Batch:
    """Random images and labels."""
    h, w = model.grid(model.spec.size)
    images = torch.rand(count, 3, *model.spec.size)
    truths = {
        "depth": torch.rand(count, 1, h, w) * 5 + 0.5,
        "normals": F.normalize(torch.randn(count, 3, h, w), dim=1),
        "seg": torch.randint(0, CLASSES, (count, h, w)),
    }
    return Batch([str(k) for k in range(count)], images, truths=truths)


def seconds(stage: Stage[Batch], batch: Batch, optimiser: torch.optim.Optimizer) -> float:
    """CPU seconds of a step."""
    start = time.process_time()
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(stage.turns[0].loss(batch).terms.values())).sum().backward()
    optimiser.step()
    return time.process_time() - start


def main() -> None:
    """Print the least of five steps of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default=(120, 160))
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    preset = small()
    names = tuple(map(str, range(CLASSES)))
    spec = ModelSpec(backbone=preset.backbone, decoder=preset.decoder, size=given.size, graph={}, classes=names)
    spec = dataclasses.replace(spec, class_frequencies=(1 / CLASSES,) * CLASSES)
    model = UMAdapt(spec).to(memory_format=torch.channels_last).train()
    batch = batch_of(model, given.batch)
    stage = base_model.stage(model, lambda k: batch, 1, preset.lr, 0.0, "joint")
    stages = {name: computed(stage, name, torch.device("cpu")) for name in ("fp32", "bf16")}
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    taken: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(6):  # the first warms up
        for name, one in stages.items():
            taken[name].append(seconds(one, batch, optimiser))
    least = {name: min(steps[1:]) for name, steps in taken.items()}
    print(", ".join(f"{name} {value:.3f} CPU s" for name, value in least.items()), end="")
    print(f": {least['fp32'] / least['bf16']:.2f} times, {given.batch / least['bf16']:.0f} images a CPU second")


if __name__ == "__main__":
    main()
