"""Where figures of a training go: metrics.jsonl, TensorBoard, and the progress bar."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from umadapt.data.files import write_bytes
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

        self.path = run / "metrics.jsonl"
        lines = [line for line in read_metrics(run) if line["stage"] != stage or line["step"] <= step]
        write_bytes(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self.file = self.path.open("a")
        self.board = SummaryWriter(str(run / "tensorboard" / stage), purge_step=step + 1 if step else None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of a step (counted from 1)."""
        if self.file is None or self.board is None:
            return
        elapsed = round(float(self.bar.format_dict["elapsed"]), 2)
        try:
            self.file.write(json.dumps({"stage": self.stage, "step": step, "seconds": elapsed, **values}) + "\n")
            self.file.flush()
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {os.strerror(error.errno or 0)}; free some space") from error
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
        if self.file is not None and self.board is not None:
            self.file.close()
            self.board.close()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of RUN/metrics.jsonl; a last line that a kill cut short is left out."""
    path = run / "metrics.jsonl"
    lines: list[dict[str, Any]] = []
    if path.exists():
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                continue
    return lines
