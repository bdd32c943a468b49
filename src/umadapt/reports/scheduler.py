"""Commands of umadapt as processes, some side by side, each with its log; what is done already is not done again."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umadapt.data import json_schema
from umadapt.data.atomic import write_json
from umadapt.errors import UserError
from umadapt.training.trainer import stop_signals

TAIL = 15  # lines of a failed command's log that the error shows
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
PATIENCE_S = 120.0  # a stopped training writes its state before it goes


RECORD = json_schema.record(  # of logs/STEP.json
    {
        "arguments": json_schema.items(json_schema.text()),
        "seconds": json_schema.number(0),
        "done": json_schema.flag,
        "began": json_schema.count(most=2**63),
    }
)


@dataclass(frozen=True)
class Step:
    """One `umadapt` command line of the ladder."""

    name: str  # such as seed-0/noadv
    arguments: tuple[str, ...]  # of `umadapt`
    output: Path  # a file that is there when the command is done
    needs: tuple[str, ...] = ()  # names of the steps that come first

    @property
    def command(self) -> str:
        return shlex.join(("umadapt", *self.arguments))


@dataclass
class Running:
    """A step at work."""

    step: Step
    process: subprocess.Popen[bytes]
    started: float  # of the monotonic clock, seconds
    began: int  # of the clock of files, nanoseconds


def end_with_us() -> None:
    """In a child: have the kernel stop it where we are killed and cannot; it writes its state and goes."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Runner:
    """Runs steps, at most `jobs` at a time, each with `threads` threads.

    OURS: processes of few threads side by side instead of one of many, because networks this small do not keep two
    threads busy: two processes of one thread each finish the ladder in little more than half the time.
    """

    def __init__(self, out: Path, jobs: int, threads: int) -> None:
        self.logs, self.jobs, self.threads = out / "logs", jobs, threads

    def log(self, step: Step) -> Path:
        return self.logs / f"{step.name.replace('/', '.')}.log"

    def record(self, step: Step) -> dict[str, Any]:
        """{"arguments", "seconds", "done", "began"} of the step's last run; empty where there was none like it."""
        try:
            found = json_schema.read(self.log(step).with_suffix(".json"), RECORD, "it is made again")
        except (FileNotFoundError, UserError):
            return {}
        return found if found.get("arguments") == list(step.arguments) else {}

    def is_done(self, step: Step, steps: Mapping[str, Step]) -> bool:
        """Whether the same command ran to its end, its output is there, and what it read has not changed since."""
        needed = [steps[name] for name in step.needs]
        record = self.record(step)
        if not record.get("done") or not step.output.exists():
            return False
        return all(s.output.exists() and s.output.stat().st_mtime_ns <= record["began"] for s in needed)

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps that are not done, each after those that it needs.

        Raises:
            UserError: a command failed; with the end of its log. The others at work are stopped, and go on next time.
        """
        by_name = {step.name: step for step in steps}
        waiting, done, running = list(steps), set[str](), list[Running]()
        try:
            with stop_signals() as stop:
                while waiting or running:
                    if stop.is_set():
                        raise stop.raised()
                    for step in list(waiting):
                        if len(running) >= self.jobs:
                            break
                        if not done.issuperset(step.needs):
                            continue
                        waiting.remove(step)
                        if self.is_done(step, by_name):
                            done.add(step.name)
                        else:
                            running.append(self.start(step))
                    finished = [one for one in running if one.process.poll() is not None]
                    for one in finished:
                        running.remove(one)
                        self.finish(one)
                        done.add(one.step.name)
                        seconds = self.record(one.step)["seconds"]
                        print(f"[{len(done)}/{len(steps)}] {one.step.name}: {seconds:.0f} s", flush=True)
                    stuck = not running and waiting and not any(done.issuperset(s.needs) for s in waiting)
                    assert not stuck, f"{waiting[0].name} needs {set(waiting[0].needs) - done}, which nothing makes"
                    if running and not finished:
                        time.sleep(0.1)
        finally:  # an error, Ctrl-C or SIGTERM
            self.stop(running)

    def start(self, step: Step) -> Running:
        """Begin a command; its output is added to its log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        started, began = time.monotonic(), time.time_ns()
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        with self.log(step).open("ab") as log:
            log.write(f"$ {step.command}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, "-m", "umadapt", *step.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone, and we pass it on once: `stop`
                preexec_fn=end_with_us,
            )
        print(f"$ {step.command}  > {self.log(step)}", flush=True)
        return Running(step, process, started, began)

    def finish(self, one: Running) -> None:
        """Note that a command ended; raise a UserError with the end of its log if it failed."""
        step, code = one.step, one.process.wait()
        done = code == 0 and step.output.exists()
        self.note(one, done)
        if not done:
            why = f"ended with code {code}" if code else f"ended without {step.output}"
            raise UserError(
                f"step {step.name} {why}:\n  {step.command}\n"
                + "".join(f"  | {line}\n" for line in tail(self.log(step)))
                + f"whole log: {self.log(step)}\nrepeat the same command to go on from there"
            )

    def note(self, one: Running, done: bool) -> None:
        """Write the step's record; seconds of earlier tries count too."""
        step = one.step
        seconds = self.record(step).get("seconds", 0.0) + time.monotonic() - one.started
        record = {"arguments": list(step.arguments), "seconds": seconds, "done": done, "began": one.began}
        write_json(self.log(step).with_suffix(".json"), record)

    def stop(self, running: Sequence[Running]) -> None:
        """Ask the commands at work to save and end."""
        for one in running:
            one.process.terminate()  # SIGTERM: a shell's background jobs ignore SIGINT, and so would these
        for one in running:
            try:
                one.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            self.note(one, False)


def tail(log: Path, lines: int = TAIL) -> list[str]:
    """The last lines of a log that hold something; of a progress bar its last state."""
    text = log.read_bytes().decode(errors="replace")
    whole = [line.rstrip().rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return [line for line in whole if line][-lines:]
