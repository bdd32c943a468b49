"""How long does it take to predict all tasks, beside the literal network and beside a network of one task?

"single" is FCRN: the same encoder and one decoder, run the same way. Latency is at batch 1, throughput at --batch.
"""

from __future__ import annotations

import torch
from benchmarks.literal import LiteralModel, activate
from benchmarks.measure import interleave, make_model, parser, ratio, report, show, summary

from umadapt.inference.photos import run_model


@torch.inference_mode()
def main() -> None:
    given = parser(__doc__, "size", "batch", "repeats").parse_args()
    ours = make_model(given.size).eval().to(memory_format=torch.channels_last)
    literal = LiteralModel(ours).eval()
    images = torch.rand(given.batch, 3, *ours.spec.size)

    def plain() -> None:
        features = literal.encoders["target"]((images - literal.mean) / literal.std)
        for name, decoder in literal.decoders.items():
            activate(name, decoder(features))

    times = interleave(
        {
            "literal": plain,
            "ours": lambda: run_model(ours, images, "target"),
            "single": lambda: ours.decode(ours.encode(images, "target"), ("depth",)),
            "trust": lambda: ours.cross(run_model(ours, images, "target")),
        },
        given.repeats,
    )
    print(f"prediction at the {given.size}'s size, batch {given.batch}: seconds of both, ratio (range)")
    for slow, fast in (("literal", "ours"), ("ours", "single"), ("trust", "ours")):
        print(f"{slow + ' / ' + fast:18} {show(times, slow, fast)}")
    found = {
        "times": summary(times),
        "speedup": ratio(times, "literal", "ours"),
        "over_single_task": ratio(times, "ours", "single"),
        "with_trust": ratio(times, "trust", "ours"),
    }
    report({"question": "predict", "size": given.size, "batch": given.batch, **found}, given.json)


if __name__ == "__main__":
    main()
