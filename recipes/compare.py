"""Metrics of a recipe beside the ones that its author got.

    python recipes/compare.py METRICS.json EXPECTED.json            # exit code 1 when one lies outside the spread
    python recipes/compare.py --write EXPECTED.json METRICS.json …  # expected = mean and spread of several repetitions

METRICS.json is what `umadapt report --json` writes. The spread is three times the largest deviation from the mean, and
at least 3 % of it, so that another processor's rounding passes and another method does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FIGURES = (("depth", "rel"), ("depth", "rms"), ("depth", "d1"), ("normals", "mean"), ("seg", "miou"), ("seg", "pacc"))
FACTOR, LEAST = 3.0, 0.03


def figures(path: str) -> dict[str, float]:
    """{"noadv depth rel": 0.3, …} of every variant."""
    metrics = json.loads(Path(path).read_text())
    variants = {name: entry for name, entry in metrics.items() if name != "default"}
    return {f"{v} {task} {m}": entry[task][m] for v, entry in variants.items() for task, m in FIGURES if task in entry}


def write(expected: str, paths: list[str]) -> None:
    """Store mean and spread."""
    runs = [figures(path) for path in paths]
    out = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        mean = sum(values) / len(values)
        spread = max(FACTOR * max(abs(v - mean) for v in values), LEAST * mean)
        out[name] = {"mean": round(mean, 4), "spread": round(spread, 4)}
    Path(expected).write_text(json.dumps(out, indent=1) + "\n")


def compare(metrics: str, expected: str) -> int:
    """Print both side by side; 0 when all lie within."""
    found, wanted = figures(metrics), json.loads(Path(expected).read_text())
    outside = []
    print(f"{'':<32}{'here':>9}{'expected':>11}")
    for name, entry in wanted.items():
        value = found.get(name, float("nan"))
        within = abs(value - entry["mean"]) <= entry["spread"]
        outside += [] if within else [name]
        mark = "" if within else "  <- outside"
        print(f"{name:<32}{value:>9.3f}{entry['mean']:>11.3f} ± {entry['spread']:.3f}{mark}")
    print(f"outside the spread: {', '.join(outside)}" if outside else "all within the spread")
    return 1 if outside else 0


if __name__ == "__main__":
    if len(sys.argv) > 3 and sys.argv[1] == "--write":
        write(sys.argv[2], sys.argv[3:])
    elif len(sys.argv) == 3:
        sys.exit(compare(*sys.argv[1:]))
    else:
        sys.exit(__doc__)
