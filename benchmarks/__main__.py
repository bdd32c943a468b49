"""`make bench`: every question, each in a process of its own; then the goals beside what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import machine, parser

RUNS = {  # name -> module and arguments: about 20 minutes on two cores in all
    "operations": "operations",
    "noadv": "step --kinds noadv --repeats 3",
    "base, adv": "step --kinds base,adv --repeats 2 --warm 0",
    "demo": "step --size demo --batch 12 --repeats 3",
    "predict": "predict --repeats 5",
    "memory": "memory",
    "export": "export --repeats 2",
    "shipped": "shipped --repeats 5",
    "evaluation": "evaluation --size demo --repeats 2",
    "rendering": "rendering --rooms 2 --sizes 96x128",
    "loading": "loading --repeats 3",
    "start": "start --repeats 2",
    "neighbours": "neighbours --repeats 1",
    "growth": "growth --repeats 3",
    "upsample": "upsample --repeats 3",
}


class Goal(NamedTuple):
    """What is wanted of a figure."""

    what: str
    where: tuple[str, ...]  # the figure: name of a run, then keys of what it reported
    wanted: float
    more: bool = True  # at least that; else at most
    sums: tuple[str, str] | None = None  # whose multiply-adds bound it: the slow one's and the fast one's


def step(what: str, kind: str, way: str, wanted: float) -> Goal:
    """Of a step of training, so many times as fast as the literal one."""
    run = "noadv" if kind == "noadv" else "base, adv"
    where = (run, "steps", kind, "speedup", f"literal/{way}", "ratio")
    return Goal(what, where, wanted, sums=(f"{kind}, literal", f"{kind}, {way}"))


GOALS = [
    step("noadv step, times faster", "noadv", "shared", 5),
    step("  with the features that --kept-views keeps", "noadv", "kept", 5),
    step("  with --forward fresh, as printed", "noadv", "fresh", 5),
    step("adv step, times faster", "adv", "shared", 5),
    step("  with the features that --kept-views keeps", "adv", "kept", 5),
    step("  with --forward fresh, as printed", "adv", "fresh", 5),
    step("base step, times faster", "base", "joint", 2),
    step("  with --optimiser per-task, as printed", "base", "per-task", 2),
    Goal(
        "prediction of all tasks, times faster",
        ("predict", "speedup", "ratio"),
        3,
        sums=("prediction, literal", "prediction, ours"),
    ),
    Goal(
        "prediction over a single task's, times",
        ("predict", "over_single_task", "ratio"),
        2.5,
        False,
        ("prediction, ours", "prediction, one task"),
    ),
    Goal("step over loading of a photo, times", ("loading", "rows", "photos, again", "steps_ratio"), 3),
    Goal("peak memory of a step, of the literal one", ("memory", "of_literal", "shared"), 1 / 3, False),
    Goal("training of one step, imports done, s", ("start", "rows", "one step, imported", "wall_s"), 3, False),
    Goal("--help, s", ("start", "rows", "--help", "wall_s"), 1, False),
]


def look_up(found: dict[str, Any], where: tuple[str, ...]) -> float | None:
    """The figure at these keys, None where its benchmark failed."""
    here: Any = found
    for key in where:
        if key not in here:
            return None
        here = here[key]
    return here


def bound(found: dict[str, Any], sums: tuple[str, str] | None) -> str:
    """What multiply-adds say of a ratio."""
    if sums is None or "operations" not in found:
        return ""
    (slow, fast), rate = (found["operations"]["gmac"][name] for name in sums), found["operations"]["rate"]["together"]
    return (
        f"{slow:.0f} and {fast:.0f} billion multiply-adds, {slow / fast:.1f} times: at the {rate:.0f} billion a second "
        f"of a matrix product {slow / rate:.2f} and {fast / rate:.2f} s"
    )


def table(found: dict[str, Any]) -> str:
    """Goals beside what was measured, and below a goal that is not met what bounds it."""
    lines = [f"{'goal':44}{'measured':>9}{'wanted':>9}"]
    for goal in GOALS:
        measured = look_up(found, goal.where)
        shown, verdict = "-", "not measured"
        if measured is not None:
            met = measured >= goal.wanted if goal.more else measured <= goal.wanted
            shown, verdict = f"{measured:.2f}", "met" if met else "not met"
        wanted = f"{'>=' if goal.more else '<='} {goal.wanted:.2f}"
        lines.append(f"{goal.what:44}{shown:>9}{wanted:>9}  {verdict}")
        if verdict == "not met" and bound(found, goal.sums):
            lines.append(f"    {bound(found, goal.sums)}")
    return "\n".join(lines)


def measure(words: str, path: Path) -> dict[str, Any] | None:
    """Run one benchmark; None where it fails."""
    module, *arguments = words.split()
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(path)], check=False)
    return json.loads(path.read_text()) if done.returncode == 0 else None


def main() -> int:
    given = parser(__doc__).parse_args()
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, words in RUNS.items():
            print(f"\n== python -m benchmarks.{words}", flush=True)
            result = measure(words, Path(folder) / "figures.json")
            if result is not None:
                found[name] = result
    print(f"\n{table(found)}")
    failed = [words for name, words in RUNS.items() if name not in found]
    for words in failed:
        print(f"failed: python -m benchmarks.{words}", file=sys.stderr)
    if given.json is not None:
        given.json.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
