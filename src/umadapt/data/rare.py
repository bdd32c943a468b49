"""Which images are drawn: those with rare classes more often."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from umadapt.data.folder import Folder
from umadapt.data.prefetch import prefetch

TEMPERATURE = 0.01  # of the softmax over 1 - a class's share of the pixels, as in DAFormer
LEAST = 0.01  # share of an image that a class must fill for the image to be drawn for it


class RareClasses:
    """Places 0 … len(ids) - 1: a share of them for a class that the image shows, the others as `place` says.

    Rare-class sampling (DAFormer, Hoyer et al., CVPR 2022, Section 3.2): a class is drawn with probability
    softmax((1 - its share of all pixels) / TEMPERATURE), then one of the images that show it, all by number and seed.
    """

    def __init__(self, folder: Folder, ids: Sequence[str], share: float, place: Callable[[int], int], seed: int):
        def count(id: str) -> np.ndarray:
            seg = folder.read_seg(id)
            return np.zeros(256, np.int64) if seg is None else np.bincount(seg.ravel(), minlength=256)

        counts = np.stack(list(prefetch(count, ids, workers=2, ahead=8)))
        counts[:, folder.ignore] = 0
        counts = counts[:, : len(folder.classes)]
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        shown = [np.flatnonzero(column >= LEAST) for column in shares.T]
        drawn = [id for id, places in enumerate(shown) if len(places)]
        weight = np.exp((1 - counts.sum(0)[drawn] / max(1, counts.sum())) / TEMPERATURE - 1 / TEMPERATURE)
        self.places = [shown[id] for id in drawn]
        self.probabilities = weight / weight.sum()
        self.share, self.place, self.seed = share if drawn else 0.0, place, seed

    def __call__(self, number: int) -> int:
        rng = np.random.default_rng((self.seed, 4, number))
        if rng.random() >= self.share:
            return self.place(number)
        return int(rng.choice(self.places[rng.choice(len(self.places), p=self.probabilities)]))
