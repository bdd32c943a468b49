"""Killed at random moments and given again, does every command end in the same bits?

    python -m studies.kills [--kills 100] [--seed 0] [--commands train,semi,render,noadv,…]

A tiny world as `studies.mutate` makes it; each command (train, adapt by every method with steps, semi, render) is run
once undisturbed. Then, in turn, each is run again, killed (SIGKILL) at a moment drawn evenly over the time that it
took, and given again until it ends; a second kill may hit the second run. Weights and pictures are compared byte for
byte.
Each run is a fork of this process, so that imports are not what is killed. Cost: eight minutes for a hundred.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import get_args

from studies.mutate import STEPS, TINY, make_world

from umadapt.config.training import MethodName

FEW = "--steps 8 --save-every 2 --batch 2 --kept-views 0".split()
ROOMS = "--views 6 --views-per-room 2 --size 32x48 --spp 1 --furniture none --workers 1".split()
METHODS = [name for name in get_args(MethodName) if name != "adabn"]
AGAIN = 0.3  # how often the run that goes on is killed too
PATIENCE_S = 300
KEPT = (".safetensors", ".png", ".jpg")


def command_line(name: str, world: Path, out: Path) -> list[str]:
    """What is run, into OUT."""
    data, target = str(world / "data"), ["--target", str(world / "photos")]
    adapt = ["adapt", str(world / "base"), *target, "--out", str(out), *FEW, "--candidates", "1"]
    steps = [option if option != "1" else "4" for option in STEPS]
    return {
        "train": ["train", "--source", data, "--out", str(out), *TINY, *steps, "--save-every", "2"],
        "semi": ["semi", str(world / "run"), *target, "--labelled", data, "--out", str(out), *FEW],
        "render": ["render", str(out), *ROOMS],
    }.get(name, [*adapt, "--method", name])


def begin(arguments: list[str], log: Path) -> int:
    """Run a command in a fork; its process."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        with log.open("a") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
        from umadapt.cli import main

        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(process: int, seconds: float) -> int | None:
    """Its exit code; None where it still runs after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.005)


def digests(out: Path) -> dict[str, str]:
    """Of all weights and pictures in a folder, by their path in it."""
    files = [path for path in out.rglob("*") if path.suffix in KEPT]
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def killed(name: str, world: Path, out: Path, took: float, rng: random.Random) -> int:
    """Run a command to its end in spite of kills; how many there were.

    Raises:
        RuntimeError: it ended otherwise than well.
    """
    kills = 0
    while True:
        process, log = begin(command_line(name, world, out), out.with_suffix(".log")), out.with_suffix(".log")
        aims = not kills or rng.random() < AGAIN
        code = wait(process, rng.uniform(0, took) if aims else PATIENCE_S)
        if code is None and aims:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            kills += 1
        elif code:
            raise RuntimeError(f"{name} ended with {code}; see {log}:\n{log.read_text()[-2000:]}")
        elif code == 0:
            return kills
        else:
            raise RuntimeError(f"{name} has not ended after {PATIENCE_S} s; see {log}")


def main() -> int:
    """A table; exit code 1 where a run ended in other bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default="")
    given = parser.parse_args()
    names = given.commands.split(",") if given.commands else ["train", *METHODS, "semi", "render"]
    for name in ("train", "adapt", "semi", "render"):
        importlib.import_module(f"umadapt.commands.{name}")
    rng, kills, other = random.Random(given.seed), Counter[str](), Counter[str]()
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    world = root / "world"
    maker = os.fork()  # torch's threads, which a fork would not have, are started there
    if not maker:
        make_world(world)
        os._exit(0)
    if wait(maker, PATIENCE_S) != 0:
        sys.exit("the tiny world cannot be made")
    whole: dict[str, tuple[dict[str, str], float]] = {}
    while kills.total() < given.kills:
        for name in names:
            out = root / name
            if name not in whole:
                start = time.monotonic()
                code = wait(begin(command_line(name, world, out), out.with_suffix(".log")), PATIENCE_S)
                if code:
                    sys.exit(f"{name} ended with {code}:\n{out.with_suffix('.log').read_text()[-2000:]}")
                whole[name] = digests(out), time.monotonic() - start
            shutil.rmtree(out)
            kills[name] += killed(name, world, out, whole[name][1], rng)
            differing = sorted({file for file, _ in digests(out).items() ^ whole[name][0].items()})
            other[name] += bool(differing)
            print(f"{name}: {kills[name]} kills" + "".join(f"; {file} differs" for file in differing), flush=True)
            if kills.total() >= given.kills:
                break
    print("| | " + " | ".join(names) + " | all |\n" + "|---" * (len(names) + 2) + "|")
    for title, counted in (("kills", kills), ("runs that ended in other bits", other)):
        print(f"| {title} | " + " | ".join(str(counted[name]) for name in names) + f" | {counted.total()} |")
    if other.total():
        print(f"kept for a look: {root}")
    else:
        shutil.rmtree(root)
    return int(other.total() > 0)


if __name__ == "__main__":
    sys.exit(main())
