"""How is an up-projection's transposed convolution done best? oneDNN's, four phase convolutions, a matrix product.

The four levels of an FCRN decoder at 228x304, forward and back to the input (the weights are frozen), milliseconds of
one thread. `nets/blocks.py` takes the product where weights outweigh values.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.measure import interleave, parser, report
from torch import Tensor
from torch.nn import functional as F

from umadapt.nets.blocks import Deconv

LEVELS = ((1024, 8, 10), (512, 16, 20), (256, 32, 40), (128, 64, 80))


def phases(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """The same map as four convolutions, one for each parity of row and column."""
    taps = ([4, 2, 0], [3, 1])  # of a 5x5 kernel at even and odd outputs, in the order of the inputs they meet
    kernels = [
        (r, s, weight[:, :, taps[r]][:, :, :, taps[s]].transpose(0, 1).contiguous(memory_format=torch.channels_last))
        for r in (0, 1)
        for s in (0, 1)
    ]

    def up(x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        out = torch.empty(b, weight.shape[1], 2 * h, 2 * w).to(memory_format=torch.channels_last)
        padded = F.pad(x, (1, 1, 1, 1))
        for r, s, kernel in kernels:
            out[:, :, r::2, s::2] = F.conv2d(padded[:, :, r:, s:], kernel)
        return out

    return up


def both_ways(up: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    def run() -> None:
        leaf = x.detach().requires_grad_(True)
        out = up(leaf)
        torch.autograd.grad(out, leaf, torch.ones_like(out))

    return run


def main() -> None:
    given = parser(__doc__, "batch", "repeats").parse_args()
    torch.set_num_threads(1)
    rows = {}
    for channels, h, w in LEVELS:
        layer = Deconv(channels, channels, 5, stride=2, padding=2, output_padding=1, bias=False)
        layer.requires_grad_(False).to(memory_format=torch.channels_last)
        x = torch.randn(given.batch, channels, h, w).to(memory_format=torch.channels_last)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "transposed": lambda x, layer=layer: super(Deconv, layer).forward(x),
            "phases": phases(layer.weight),
            "ours": layer,
        }
        outs = [way(x) for way in ways.values()]
        assert all(torch.allclose(outs[0], other, atol=1e-3) for other in outs)
        times = interleave({name: both_ways(way, x) for name, way in ways.items()}, given.repeats)
        row = {name: 1000 * min(cpu for _, cpu in values) for name, values in times.items()}
        rows[f"{channels}x{h}x{w}"] = row
        print(f"{channels:5} at {h}x{w}: " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in row.items()), flush=True)
    report({"question": "upsample", "batch": given.batch, "cpu_ms": rows}, given.json)


if __name__ == "__main__":
    main()
