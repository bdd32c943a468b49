"""What the program makes of broken inputs: seeded mutations of tiny valid ones, in this process, a JSON line a case.

    python -m studies.mutate --cases 3000 --seed 0 --out cases.jsonl [--commands check,predict,…] [--seconds 60]

Each case copies a tiny world (data folder, packed set, source and adapted run, evaluation, log), changes one to three
things in it or in the arguments, and runs one command. It is judged as

    right      exit code 0; or 1, which names bad data
    message    exit code 2 with a sentence
    traceback  an exception came out, or the message is empty
    silent     exit code 0, and an oracle says that the output is wrong
    hang       over --seconds of the CPU, or ten times as many of the clock
    memory     the process has grown by more than 4 GB

The oracles: nothing was written outside the output folder, inputs are as they were, weights and maps that were written
are finite and of the photo's size, and JSON that was written is JSON. Most cases are of cheap commands.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from studies.mutations import Rng, mutate

SHARES = {  # of the cases; training takes seconds, reading milliseconds
    "check": 0.26,
    "pack": 0.16,
    "report": 0.15,
    "evaluate": 0.14,
    "predict": 0.12,
    "score": 0.06,
    "train": 0.05,
    "adapt": 0.04,
    "semi": 0.016,
    "export": 0.004,
}
TINY = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 2".split()
STEPS = "--lr 1e-3 --transfer-steps 1 --base-steps 1 --contour-steps 1".split()
MEMORY_GB = 4.0
WAITS = 10


# --- The world


def make_world(root: Path) -> None:
    """Data, its packed form, photos, a trained and an adapted run with evaluations, as small as they can be."""
    from toys import write_toy_world
    from umadapt.cli import main

    write_toy_world(root / "data", 4, seed=0)
    (root / "data" / "splits").mkdir()
    (root / "data" / "splits" / "few.txt").write_text("000\n002\n")
    shutil.copytree(root / "data" / "image", root / "photos")
    train = ["train", "--source", str(root / "data"), "--out", str(root / "base"), *TINY, *STEPS, "--holdout", "0.4"]
    adapt = ["adapt", str(root / "base"), "--target", str(root / "photos"), "--out", str(root / "run")]
    for command in (
        ["pack", str(root / "data"), str(root / "packed")],
        train,
        [*adapt, "--method", "noadv", "--steps", "1", "--batch", "2", "--candidates", "1", "--kept-views", "0"],
        ["evaluate", str(root / "base"), "--data", str(root / "data")],
        ["evaluate", str(root / "run"), "--data", str(root / "data")],
    ):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = main(command)
        if code:
            raise RuntimeError(f"the tiny world cannot be made: {command} ended with {code}")


def command_line(command: str, root: Path, rng: Rng) -> list[str]:
    """A valid command line on a copy of the world; what it writes goes to ROOT/out."""
    data = str(root / str(rng.choice(["data", "data:few", "packed"])))
    run = str(root / str(rng.choice(["base", "run"])))
    out = ["--out", str(root / "out")]
    few = ["--steps", "1", "--batch", "2", "--kept-views", "0", "--candidates", "1"]
    method = str(rng.choice(["self-training", "noadv", "adabn", "minent"]))
    runs, page, pictures = [str(root / "base"), str(root / "run")], str(root / "out" / "report.html"), "0001"
    photos = str(root / str(rng.choice(["photos", "data", "packed"])))
    target = ["--target", str(root / "photos")]
    return {
        "check": ["check", data, "--sheet", str(root / "out" / "sheet.png")],
        "pack": ["pack", str(root / "data"), str(root / "out")],
        "evaluate": ["evaluate", run, "--data", data],
        "predict": ["predict", run, photos, *out],
        "report": ["report", *runs, "--out", page, "--pictures", pictures[int(rng.integers(4))]],
        "score": ["score", *runs, "--photos", str(root / "photos")],
        "train": ["train", "--source", data.replace(":few", ""), *out, *TINY, *STEPS],
        "adapt": ["adapt", str(root / "base"), *target, *out, *few, "--method", method],
        "semi": ["semi", str(root / "run"), *target, "--labelled", data, *out, *few[:-2]],
        "export": ["export", run, "--format", "torch", "--out", str(root / "out" / "model.pt2")],
    }[command]


# --- One case


@dataclass
class Case:
    """What was done, and what came of it."""

    number: int
    command: str
    changes: list[str]
    verdict: str
    code: int | None
    said: str
    seconds: float

    def line(self) -> str:
        return json.dumps(self.__dict__, ensure_ascii=True)


class TookTooLong(BaseException):
    """Raised by the alarm."""


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Seconds of the CPU, or WAITS times as many of the clock."""

    def ring(number: int, frame: Any) -> None:
        raise TookTooLong

    kinds = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, WAITS * seconds))
    before = [signal.signal(number, ring) for number, _, _ in kinds]
    for _, timer, most in kinds:
        signal.setitimer(timer, most)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(kinds, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@contextlib.contextmanager
def held_in(gigabytes: float) -> Iterator[None]:
    """No more address space than the process has now and so much."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + int(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_AS, (most if before[1] < 0 else min(most, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def listing(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def wrong(root: Path, command: str, before: set[str], around: set[str], arguments: Sequence[str] = ()) -> str:
    """What an oracle has against the output of a command that ended well; nothing where it is right."""
    strange = set(os.listdir(root.parent)) - around
    if strange:
        return f"wrote outside: {sorted(strange)[0]}"
    evaluations = ("base/evaluations", "run/evaluations") if command == "evaluate" else ()
    new = [name for name in listing(root) - before if not name.startswith(("out", *evaluations))]
    asked = {(one.partition("=")[2] or one).split("/")[0] for one in arguments}  # by what a mutation made of them
    new = [name for name in new if name.split("/")[0] not in asked]
    if new and command != "check":
        return f"wrote beside its output: {sorted(new)[0]}"
    for path in sorted((root / "out").rglob("*")) if (root / "out").is_dir() else ():
        fault = _fault(path)
        if fault:
            return f"{path.relative_to(root)}: {fault}"
    return ""


def _fault(path: Path) -> str:
    if path.name.startswith(".tmp-"):
        return "a temporary file"
    if path.suffix == ".json":
        try:
            json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)
        except (ValueError, ZeroDivisionError):
            return "no JSON"
    if path.suffix == ".npy" and not np.isfinite(np.load(path).astype(np.float64)).all():
        return "not finite"
    if path.suffix == ".safetensors":
        import safetensors.torch

        if not all(bool(x.double().isfinite().all()) for x in safetensors.torch.load_file(path).values()):
            return "not finite"
    return ""


def run_case(number: int, seed: int, command: str, world: Path, folder: Path, seconds: float) -> Case:
    """One case on its own copy of the world; the same number and seed give the same case."""
    from umadapt.cli import main

    rng = np.random.default_rng((seed, number))
    root = folder / "w"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(world, root, symlinks=True)
    (root / "out").mkdir()
    arguments = command_line(command, root, rng)
    changes = [mutate(root, arguments, rng) for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]
    if command not in ("check", "report", "export"):
        (root / "out").rmdir()
    before, around = listing(root), set(os.listdir(folder))
    said, code, start = io.StringIO(), None, time.process_time()
    here = Path.cwd()
    os.chdir(root)  # a relative name that a mutation made stays in here
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), at_most(seconds), held_in(MEMORY_GB):
            code = main(arguments)
        text = said.getvalue()
        verdict = "right" if code in (0, 1) else "message" if text.strip() else "traceback"
        if "Traceback (most recent call last)" in text:
            verdict = "traceback"
        elif code == 0 and (fault := wrong(root, command, before, around, arguments)):
            verdict, text = "silent", fault
    except TookTooLong:
        verdict, text = "hang", said.getvalue()
    except MemoryError as error:
        verdict, text = "memory", repr(error)
    except BaseException:
        text = traceback.format_exc()
        verdict = "memory" if "DefaultCPUAllocator" in text else "traceback"
    finally:
        os.chdir(here)
    shown = [one.replace(str(root), "W") for one in arguments]
    taken = time.process_time() - start
    return Case(number, " ".join(shown), changes, verdict, code, text.strip()[-1500:], round(taken, 3))


def plan(count: int, seed: int, commands: Sequence[str]) -> list[str]:
    """The command of every case."""
    shares = np.array([SHARES[command] for command in commands])
    return [str(c) for c in np.random.default_rng(seed).choice(list(commands), count, p=shares / shares.sum())]


def campaign(
    cases: int, seed: int, commands: Sequence[str], folder: Path, seconds: float = 60.0, budget: float = 0.0
) -> Iterator[Case]:
    """Run cases; with a `budget` in CPU seconds as many as fit in it."""
    world = folder / "world"
    make_world(world)
    start = time.process_time()
    for number, command in enumerate(plan(cases, seed, commands)):
        if budget and time.process_time() - start > budget:
            return
        yield run_case(number, seed, command, world, folder, seconds)


def table(cases: Sequence[Case]) -> str:
    """Verdicts by command."""
    verdicts = ("right", "message", "traceback", "silent", "hang", "memory")
    count = Counter((case.command.split()[0], case.verdict) for case in cases)
    lines = ["| command | " + " | ".join(verdicts) + " |", "|---" * (len(verdicts) + 1) + "|"]
    for command in [*SHARES, "all"]:
        cells = [
            sum(n for (c, v), n in count.items() if v == verdict and command in (c, "all")) for verdict in verdicts
        ]
        if any(cells):
            lines.append(f"| {command} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=",".join(SHARES))
    parser.add_argument("--seconds", type=float, default=60.0, help="of the CPU, over which a case hangs")
    parser.add_argument("--out", type=Path, default=None, help="a file for the JSON lines; default: standard output")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    done: list[Case] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        file = stack.enter_context(options.out.open("w")) if options.out else sys.stdout
        for case in campaign(options.cases, options.seed, options.commands.split(","), Path(folder), options.seconds):
            print(case.line(), file=file, flush=True)
            done.append(case)
    print(table(done), file=sys.stderr)
    print(f"{sum(case.seconds for case in done):.0f} s", file=sys.stderr)
    return int(any(case.verdict not in ("right", "message") for case in done))


if __name__ == "__main__":
    sys.exit(main())
