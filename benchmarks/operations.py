"""How many multiply-adds does a step take? Counted on tensors without data, so in seconds, on any machine.

The counts say what no implementation of the same sums can beat, given the speed of a matrix product.
"""

from __future__ import annotations

from pathlib import Path

import torch
from benchmarks.literal import LiteralModel, activate, generator_loss
from benchmarks.measure import make_batch, make_model, parser, report
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from umadapt.config import Adapt
from umadapt.stages import adapt


def counted(function: object) -> float:
    """Multiply-adds of a call, in 10^9."""
    with FlopCounterMode(display=False) as counter:
        function()  # type: ignore[operator]
    return counter.get_total_flops() / 2e9


def main() -> None:
    given = parser(__doc__).parse_args()
    ours = make_model(given.size).eval()
    batch = {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in make_batch(ours, given.batch).items()}
    literal = LiteralModel(ours).eval().to("meta")
    literal.mean, literal.std = literal.mean.to("meta"), literal.std.to("meta")
    literal.frequencies = ()  # the random mask multiplies nothing that counts
    ours.to("meta")
    found: dict[str, float] = {}

    with torch.no_grad():
        features = ours.encode(batch["image"], "target")
        found["prediction, encoder"] = counted(lambda: ours.encode(batch["image"], "target"))
        found["prediction, one decoder (depth)"] = counted(lambda: ours.decode(features, ("depth",)))
        found["prediction, ours"] = counted(lambda: ours(batch["image"], "target"))

        def plain() -> None:
            made = literal.encoders["target"](batch["image"])
            for name, decoder in literal.decoders.items():
                activate(name, decoder(made))

        found["prediction, literal"] = counted(plain)
        found["noadv, the trunk's share"] = counted(lambda: ours.trunk(batch["image"], "target"))

    def literal_step() -> None:
        for task in literal.graph:
            generator_loss(literal, batch, task, 10.0).backward()

    def our_step(forward: str) -> None:
        config = Adapt(run=Path("run"), target=("photos",), out=Path("out"), gradient_mask="off", forward=forward)  # type: ignore[arg-type]
        stage = adapt.stage(ours, config, lambda k: {})
        prepared = stage.prepare(batch)
        for turn in stage.turns:
            torch.stack(list(turn.loss(prepared).terms.values())).sum().backward(inputs=turn.parameters)

    found["noadv, literal"] = counted(literal_step)
    found["noadv, ours"] = counted(lambda: our_step("fresh"))
    found["noadv, --forward shared"] = counted(lambda: our_step("shared"))
    for name, giga in found.items():
        print(f"{name:32} {giga:7.1f} billion multiply-adds")
    report({"question": "operations", "size": given.size, "batch": given.batch, "gmac": found}, given.json)


if __name__ == "__main__":
    main()
