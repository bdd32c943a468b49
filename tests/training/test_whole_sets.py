"""What training is told of a whole set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.data.folder import Folder
from umadapt.training import whole_sets
from umadapt.training.whole_sets import class_frequencies


@pytest.mark.parametrize("counted", [100, 5])
def test_class_frequencies_of_all_or_of_evenly_spaced_images(
    toy_world: Path, monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    monkeypatch.setattr(whole_sets, "COUNTED", counted)
    folder = Folder(toy_world)
    read = folder.ids if counted == 100 else folder.ids[::3]
    counts = np.zeros(256, np.int64)
    for id in read:
        seg = folder.read_seg(id)
        assert seg is not None
        counts += np.bincount(seg.ravel(), minlength=256)
    counts = counts[: len(folder.classes)]
    assert class_frequencies(folder, folder.ids) == pytest.approx(counts / counts.sum())
