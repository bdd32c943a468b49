"""How many multiply-adds does a step take, and how many does this machine do in a second?

Counted on tensors without data, so in seconds. No implementation of the same sums takes less time than their number
over the rate of a plain matrix product, which is measured beside them; one that takes less does fewer sums.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from benchmarks import literal
from benchmarks.literal import LiteralModel, base_loss, critic_loss, generator_loss
from benchmarks.measure import interleave, make_batch, make_model, parser, report
from benchmarks.step import WAYS, make_stage
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from umadapt.data.batch import Batch
from umadapt.nets.model import UMAdapt

DEVICE = "meta"
MATRIX = 1024  # side of the product whose rate is the ceiling


class Counter(TorchDispatchMode):
    """Counts multiply-adds. Torch's FlopCounterMode hooks modules, which `autograd.grad` of a shared forward bars."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def counted(function: Callable[[], Any]) -> float:
    """Multiply-adds of a call, in 10^9."""
    with Counter() as counter:
        function()
    return counter.flops / 2e9


def rates(repeats: int) -> dict[str, float]:
    """10^9 multiply-adds a second of a float32 matrix product: of the threads together, and of each core second."""
    a, b = torch.rand(2, MATRIX, MATRIX)
    times = interleave({"product": lambda: [a @ b for _ in range(10)]}, repeats)["product"]
    done = 10 * MATRIX**3 / 1e9
    return {"together": done / min(wall for wall, _ in times), "core": done / min(cpu for _, cpu in times)}


def predictions(model: UMAdapt, plain: LiteralModel, images: Tensor) -> dict[str, float]:
    """Of a prediction of all tasks, and of one."""
    with torch.no_grad():
        features = model.encode(images, "target")
        return {
            "prediction, literal": counted(lambda: plain(images, "target"))
            - counted(lambda: plain.contour(features["res5"])),
            "prediction, ours": counted(lambda: model(images, "target")),
            "prediction, one task": counted(lambda: model.decode(model.encode(images, "target"), ("depth",))),
        }


def our_step(kind: str, way: str, size: str, batch: Batch) -> Callable[[], None]:
    """All turns of a step, forward and backward; the optimisers multiply next to nothing."""
    model = without_data(size)
    stage = make_stage(kind, model, "shared" if way == "kept" else way)
    model.train()
    if way == "kept":
        assert stage.frozen is not None
        batch = stage.frozen(batch)

    def step() -> None:
        prepared = stage.prepare(batch)
        for turn in stage.turns:
            torch.stack(list(turn.loss(prepared).terms.values())).sum().backward(inputs=turn.parameters)

    return step


def literal_step(kind: str, model: LiteralModel, batch: Batch) -> Callable[[], None]:
    """The same of the paper's algorithms as printed."""

    def step() -> None:
        if kind == "base":
            for task in model.kinds:
                base_loss(model, batch, task, 10.0).backward()
            return
        for task in model.graph:
            generator_loss(model, batch, task, 10.0).backward()
        for task in model.graph if kind == "adv" else ():
            critic_loss(model, batch, task, 1.0, "pred").backward()

    return step


def without_data(size: str) -> UMAdapt:
    """A network whose tensors have shapes alone."""
    with torch.device(DEVICE):
        return make_model(size)


def count(size: str, batch: int) -> dict[str, float]:
    """10^9 multiply-adds of predictions and steps."""
    model = without_data(size).eval()
    data = make_batch(model, batch).to(torch.device(DEVICE))
    data = dataclasses.replace(data, source=data)
    with torch.device(DEVICE):
        plain = LiteralModel(model).eval()
    plain.frequencies = ()  # the random mask multiplies nothing that counts,
    found = predictions(model, plain, data.images)
    with mock.patch.object(literal, "supervised", lambda task, prediction, truth, weights: prediction.sum()):
        for kind in ("base", "noadv", "adv"):  # nor do losses, which choose pixels by their values
            found[f"{kind}, literal"] = counted(literal_step(kind, plain, data))
            for way in WAYS["base" if kind == "base" else "adapt"][1]:
                found[f"{kind}, {way}"] = counted(our_step(kind, way, size, data))
    return found


def main() -> None:
    given = parser(__doc__, "size", "batch", "repeats").parse_args()
    rate = rates(given.repeats)
    found = count(given.size, given.batch)
    print(f"a matrix product: {rate['together']:.0f} billion multiply-adds a second, {rate['core']:.0f} a core second")
    for name, giga in found.items():
        print(f"{name:22} {giga:8.1f} billion multiply-adds, {giga / rate['together']:7.2f} s at that rate")
    report(
        {"question": "operations", "size": given.size, "batch": given.batch, "rate": rate, "gmac": found}, given.json
    )


if __name__ == "__main__":
    main()
