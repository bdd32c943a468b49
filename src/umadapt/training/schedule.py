"""How the learning rate runs over the steps of a stage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from umadapt.config import Looped, Train


@dataclass(frozen=True)
class Schedule:
    """Shares of a learning rate, and the weight decay beside it.

    It falls to zero. OURS: without that BatchNorm's running statistics lag behind weights that still move.
    """

    steps: int
    decay: float
    warm_up: int = 0
    cosine: bool = False
    weight_decay: float = 0.0

    @classmethod
    def of(cls, config: Looped, steps: int, warm_up: int = 0) -> Schedule:
        """As a command asks for it; `warm_up` is for those that do not say."""
        if not isinstance(config, Train):
            return cls(steps, config.decay, warm_up)
        return cls(steps, config.decay, config.warm_up, config.schedule == "cosine", config.weight_decay)

    def rate(self, step: int) -> float:
        """Of a step, counted from 0."""
        rise = min(1.0, (step + 1) / (self.warm_up + 1))
        if self.cosine:
            return rise * (1 + math.cos(math.pi * step / self.steps)) / 2
        return rise * min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
