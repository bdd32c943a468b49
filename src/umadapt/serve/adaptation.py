"""An adaptation as the page runs it: the command `umadapt adapt` in a process of its own, one at a time."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from umadapt.errors import UserError

WAYS = {  # what people choose -> arguments of `adapt`
    "thorough": ("--method", "self-training", "--batch", "8", "--precision", "auto"),
    "quick": ("--method", "adabn"),
}
PATIENCE_S = 20  # until a process that was asked to stop is killed
ROOMS = re.compile(r"rendering (\d+) views .* kept in (.+)\n")  # of the command, where it has none yet
BAR = re.compile(r"(\d+)/(\d+) \[[\d:]+<([\d:?]+)")  # of tqdm: done, all, time left
TAIL = 4096  # bytes of a log that are read

State = Literal["preparing", "adapting", "done", "stopped", "failed"]


class Progress(NamedTuple):
    """How far an adaptation is."""

    state: State
    share: float  # of its steps
    text: str  # for people; what went wrong


class Adaptation:
    """A running `umadapt adapt`.

    Args:
        run: what is adapted.
        photos: a folder of photos.
        out: run folder to write; the logs lie beside it.
        arguments: of the command, beside these.
    """

    def __init__(self, run: Path, photos: Path, out: Path, arguments: Sequence[str]):
        self.out = out
        self._stopped = False
        out.parent.mkdir(parents=True, exist_ok=True)
        self._said, self._bars = out.with_suffix(".out"), out.with_suffix(".err")
        command = [sys.executable, "-m", "umadapt", "adapt", str(run), "--target", str(photos), "--out", str(out)]
        with self._said.open("wb") as said, self._bars.open("wb") as bars:
            # a session of its own: Ctrl-C on the server's terminal is for the server, which stops this one
            self._process = subprocess.Popen(
                [*command, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=bars, start_new_session=True
            )

    def progress(self) -> Progress:
        """How far it is now."""
        code = self._process.poll()
        if code is None and self._stopped:
            return Progress("preparing", 0.0, "stopping, after the step at hand")
        if code is None:
            bars = BAR.findall(_tail(self._bars))
            if not bars:
                return Progress("preparing", 0.0, _rooms(_tail(self._said)) or "loading")
            done, steps, left = bars[-1]
            text = f"step {done} of {steps}" + (f", {left} left" if left != "?" else "")
            return Progress("adapting", int(done) / int(steps), text)
        if code == 0:
            return Progress("done", 1.0, "")
        if self._stopped:
            return Progress("stopped", 0.0, "stopped")
        return Progress("failed", 0.0, _last_words(_tail(self._bars)))

    def stop(self) -> None:
        """End it, if it still runs; returns when it is gone."""
        if self._process.poll() is not None:
            return
        self._stopped = True
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class OneAtATime:
    """Whose turn it is to adapt."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running: Adaptation | None = None

    def start(self, run: Path, photos: Path, out: Path, arguments: Sequence[str]) -> Adaptation:
        """Raises UserError where another one runs."""
        with self._lock:
            if self.running is not None:
                now = self.running.progress()
                if now.state in ("preparing", "adapting"):
                    far = f" ({now.share:.0%} done)" if now.share else ""
                    raise UserError(f"another adaptation runs on this machine{far}; wait until it ends")
            self.running = Adaptation(run, photos, out, arguments)
            return self.running

    def stop(self) -> None:
        """End the one that runs, if any."""
        with self._lock:
            if self.running is not None:
                self.running.stop()


def _tail(path: Path) -> str:
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        return file.read().decode(errors="replace")
    return ""


def _rooms(said: str) -> str:
    """How many of the rooms to rehearse on are rendered; nothing where none are, or all."""
    found = ROOMS.search(said)
    if found is None:
        return ""
    views, there = int(found[1]), len(list(Path(found[2], "image").glob("*.jpg")))
    text = f"rendering rooms to rehearse on, {there} of {views}; the next time they are there"
    return text if there < views else ""


def _last_words(text: str) -> str:
    """What a command that failed says of it: what follows `umadapt adapt: `, else its last line."""
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip() and not BAR.search(line)]
    _, found, said = "\n".join(lines).rpartition("umadapt adapt: ")
    return said if found else (lines[-1] if lines else "the adaptation ended without a word")
