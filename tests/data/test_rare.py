"""Rare classes are drawn more often, by number and seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from umadapt.data.atomic import write_json
from umadapt.data.files import write_image, write_seg
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches

SIZE = (32, 32)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Ten images of class 0; one of them, "007", also shows class 1."""
    for i in range(10):
        seg = np.zeros(SIZE, np.uint8)
        seg[:8, :8] = 1 if i == 7 else 255
        write_image(tmp_path / "image" / f"{i:03d}.png", np.zeros((*SIZE, 3), np.uint8))
        write_seg(tmp_path / "seg" / f"{i:03d}.png", seg)
    seg = {"classes": ["much", "little", "never"], "ignore": 255}
    write_json(tmp_path / "dataset.json", {"name": "rare", "tasks": {"seg": seg}})
    return Folder(tmp_path)


def drawn(folder: Folder, rare: float, seed: int = 0) -> list[str]:
    batches = Batches(folder, folder.ids, SIZE, (16, 16), tasks=("seg",), batch=10, rare=rare, seed=seed)
    return [name for step in range(40) for name in batches(step).ids]


def test_share_and_order(folder: Folder) -> None:
    plain = drawn(folder, 0.0)
    assert plain.count("007") == 40
    half = drawn(folder, 0.5)
    assert 0.45 < half.count("007") / 400 < 0.65  # every second by its rare class, a tenth of the rest
    assert [a for a, b in zip(plain, half, strict=True) if a == b != "007"], "the others come in the plain order"
    assert half == drawn(folder, 0.5)
    assert half != drawn(folder, 0.5, seed=1)


def test_without_labels_all_is_as_before(folder: Folder) -> None:
    for path in (folder.root / "seg").iterdir():
        write_seg(path, np.full(SIZE, 255, np.uint8))
    assert drawn(folder, 0.5) == drawn(folder, 0.0)
