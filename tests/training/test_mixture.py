"""Several folders as one: nobody is left out, nobody comes twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from toys import write_toy_world
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches
from umadapt.training.mixture import Union


@pytest.fixture
def parts(tmp_path: Path) -> list[Batches]:
    out = []
    for name, count in (("a", 4), ("b", 8)):
        write_toy_world(tmp_path / name, count, seed=len(name))
        folder = Folder(str(tmp_path / name))
        out.append(Batches(folder, [*folder.ids], (64, 96), (32, 48), tasks=("depth", "seg"), batch=3))
    return out


def test_each_image_comes_once_a_pass(parts: list[Batches]) -> None:
    union = Union(parts, "union", seed=5)
    for first in (0, 12):
        seen = Counter((id(part), name) for part, name in (union.pick(first + k) for k in range(12)))
        assert len(seen) == 12
    batch = union(1)
    assert batch.images.shape == (3, 3, 64, 96)
    assert batch.truths["depth"].shape == (3, 1, 32, 48)
    torch.testing.assert_close(batch.images, Union(parts, "union", seed=5)(1).images)


def test_folders_take_turns(parts: list[Batches]) -> None:
    union = Union(parts, "alternate")
    for k, part in enumerate((0, 1, 1, 0, 0, 1)):
        torch.testing.assert_close(union(k).images, parts[part](k // 2).images)


@pytest.mark.parametrize("mix", ["union", "alternate"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_what_steps_will_see_is_known_before(parts: list[Batches], mix: str, steps: int) -> None:
    seen: list[tuple[Folder, str]] = []
    for part in parts:
        part.detector = lambda folder, id: seen.append((folder, id)) or torch.zeros(1, 1, 1)
    union = Union(parts, mix)
    told = union.seen(steps)
    for step in range(steps):
        union(step)
    assert set(seen) <= set(told)
    assert len(set(told)) == len(told) <= len(set(seen)) + 3  # where folders take turns, a batch too many at the most
