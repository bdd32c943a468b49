"""How much memory does a step of adaptation need? Peak resident memory, each variant in a process of its own.

"frugal" is ours with --micro-batch 1: a photo at a time.
"""

from __future__ import annotations

from benchmarks.measure import parser, peak_mib, report
from benchmarks.step import FRUGAL, WAYS


def main() -> None:
    options = parser(__doc__, "size", "batch")
    options.add_argument("--kind", default="noadv", choices=["base", "noadv", "adv"], help="which step")
    given = options.parse_args()
    names = sum(WAYS["base"] if given.kind == "base" else (*WAYS["adapt"], (FRUGAL,)), ())
    arguments = ["--kinds", given.kind, "--size", given.size, "--batch", str(given.batch)]
    found = {name: peak_mib("benchmarks.step", *arguments, "--peak", name) for name in names}
    found["python and torch"] = peak_mib("benchmarks.step", "--peak", "nothing")
    shares = {name: mib / found["literal"] for name, mib in found.items()}
    for name, mib in found.items():
        print(f"{name:18} {mib:7.0f} MiB, {shares[name]:.2f} of the literal one")
    result = {"size": given.size, "batch": given.batch, "mib": found, "of_literal": shares}
    report({"question": "memory", **result}, given.json)


if __name__ == "__main__":
    main()
