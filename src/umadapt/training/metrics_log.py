"""Where figures of a training go: metrics.jsonl, TensorBoard, and the progress bar."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from umadapt.data import json_schema
from umadapt.data.atomic import why_unwritten, write_bytes
from umadapt.distributed import process_group
from umadapt.errors import UserError


class Track:
    """One stage's log. Lines of RUN/metrics.jsonl are {"stage", "step", "seconds", "TURN/TERM": value, ...}.

    A resumed stage first drops what was logged behind its checkpoint, so that no step stands twice. Rank 0 alone logs.
    """

    def __init__(self, run: Path, stage: str, step: int, steps: int):
        self.stage = stage
        self.bar = tqdm(
            total=steps,
            initial=step,
            desc=stage,
            unit="step",
            dynamic_ncols=True,
            mininterval=1,
            disable=process_group.rank() > 0,
        )
        self.file = self.board = None
        if process_group.rank():
            return
        from torch.utils.tensorboard import SummaryWriter

        self.path, board = run / "metrics.jsonl", run / "tensorboard" / stage
        lines = [line for line in read_metrics(run) if line["stage"] != stage or line["step"] <= step]
        write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        with _written(self.path):
            self.file = self.path.open("a")
        with _written(board):
            self.board = SummaryWriter(str(board), purge_step=step + 1 if step else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of a step (counted from 1)."""
        if self.file is None or self.board is None:
            return
        elapsed = round(float(self.bar.format_dict["elapsed"]), 2)
        with _written(self.path):
            self.file.write(json.dumps({"stage": self.stage, "step": step, "seconds": elapsed, **values}) + "\n")
            self.file.flush()
        with _written(Path(self.board.log_dir)):
            for name, value in values.items():
                self.board.add_scalar(name, value, step)
        shown = {k.removesuffix("/loss"): f"{v:.3g}" for k, v in values.items() if k.endswith("/loss")}
        self.bar.set_postfix(shown, refresh=False)

    def advance(self) -> None:
        self.bar.update()

    def say(self, text: str) -> None:
        if not process_group.rank():
            self.bar.write(text)

    def close(self) -> None:
        self.bar.close()
        # all that counts was flushed line by line; what a full disk keeps back here must not hide why a run stops
        with contextlib.suppress(OSError):
            if self.file is not None:
                self.file.close()
        with contextlib.suppress(OSError):
            if self.board is not None:
                self.board.close()


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Raise a UserError naming `path` where the disk fails inside."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: cannot be written{why_unwritten(error, path)}") from error


LINE_KEYS = ("stage", "step", "seconds")
LINE = json_schema.record(
    {"stage": json_schema.text(), "step": json_schema.count()}, {"seconds": json_schema.number(0)}
)
FIGURE = json_schema.number()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of RUN/metrics.jsonl, with the figures that are finite; a last line that a kill cut short is left out.

    So is every other that is damaged, which costs the run nothing but this line of its curves; they are counted on
    stderr. Raises UserError where the file cannot be read.
    """
    path = run / "metrics.jsonl"
    try:
        texts = path.read_bytes().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); remove it to go without") from error
    lines: list[dict[str, Any]] = []
    damaged = 0
    for number, text in enumerate(texts, 1):
        try:
            line = json.loads(text)
            LINE(line, "")
        except (ValueError, RecursionError):
            damaged += number < len(texts)
            continue
        lines.append({key: value for key, value in line.items() if key in LINE_KEYS or is_figure(value)})
    if damaged:
        print(f"{path}: {damaged} damaged lines are left out", file=sys.stderr)
    return lines


def is_figure(value: Any) -> bool:
    """Whether a value of a line is a number that can be drawn."""
    try:
        FIGURE(value, "")
    except json_schema.Wrong:
        return False
    return True
