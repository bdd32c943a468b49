"""Views of photos that are computed once."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch

from toys import write_toy_world
from umadapt.data.augment import Augment
from umadapt.data.batch import Batch
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches
from umadapt.training.frozen_views import FrozenViews, NoRoom
from umadapt.training.mixture import Union

SIZE, GRID = (32, 64), (16, 32)


@pytest.fixture
def batches(tmp_path: Path) -> Batches:
    write_toy_world(tmp_path / "world", 5, 0)
    folder = Folder(str(tmp_path / "world"))
    return Batches(folder, folder.ids, SIZE, GRID, batch=3, seed=7, recipe=Augment(), views=2, contours=True)


class Net:
    """Counts the pictures that it sees."""

    def __init__(self, factor: float = 2) -> None:
        self.factor, self.seen = factor, 0

    def __call__(self, batch: Batch) -> Batch:
        self.seen += len(batch)
        return dataclasses.replace(batch, trunk={"res4": batch.images[..., ::2, ::2] * self.factor})


def test_they_are_what_the_networks_make_of_the_same_batches(batches: Batches, tmp_path: Path) -> None:
    net = Net()
    views = FrozenViews(batches, net, tmp_path / "views")
    assert net.seen == len(views) == 10
    for step in range(12):
        kept, made = views(step), net(batches(step))
        assert kept.ids == made.ids
        assert not len(kept.images), "pictures are not kept"
        torch.testing.assert_close(kept.trunk, made.trunk, rtol=0, atol=0)
        torch.testing.assert_close(kept.contours, made.contours, rtol=0, atol=1e-6)
    assert {path.stem for path in (tmp_path / "views").glob("*.npy")} == {"contour", "trunk.res4"}


def test_two_views_come_in_turn(batches: Batches) -> None:
    name, count = batches.ids[0], len(batches.ids)
    first, second, again = (batches.collate([name], [batches.sample(name, epoch * count)]).images for epoch in range(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_complete_ones_are_not_made_again(batches: Batches, tmp_path: Path) -> None:
    FrozenViews(batches, Net(), tmp_path / "views")
    net = Net()
    FrozenViews(batches, net, tmp_path / "views")
    assert net.seen == 0
    (tmp_path / "views" / "complete.json").unlink()  # as a killed process leaves them
    FrozenViews(batches, net, tmp_path / "views")
    assert net.seen == 10


def test_a_union_reads_them(batches: Batches, tmp_path: Path) -> None:
    made = Union([batches], "union", 3)
    kept = Union([batches], "union", 3)
    kept.parts = (FrozenViews(batches, Net(), tmp_path / "views"),)
    for step in range(4):
        assert kept(step).ids == made(step).ids
        found, wanted = kept(step).trunk["res4"], made(step).images[..., ::2, ::2] * 2
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_a_full_disk_is_told_before_anything_is_written(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for shared in (False, True):
        with pytest.raises(NoRoom, match="No space left"):
            FrozenViews(batches, Net(), tmp_path / "views", shared=shared)
    assert not list(tmp_path.rglob("*.npy"))


def test_shared_ones_are_made_once_for_each_kind(batches: Batches, tmp_path: Path) -> None:
    """Other networks, other photos or another number of views never find those of another run."""
    FrozenViews(batches, Net(), tmp_path / "views", shared=True)
    again = Net()
    kept = FrozenViews(batches, again, tmp_path / "views", shared=True)
    assert again.seen == 4  # the first ones, which tell what is asked for
    torch.testing.assert_close(kept(1).trunk, again(batches(1)).trunk, rtol=0, atol=0)
    other = Net(2.01)
    assert FrozenViews(batches, other, tmp_path / "views", shared=True).folder != kept.folder
    assert other.seen == 4 + 10
    last = batches.folder.image_path(batches.ids[-1])
    assert isinstance(last, Path)
    last.write_bytes(Path(str(batches.folder.image_path(batches.ids[0]))).read_bytes())
    fresh = Batches(batches.folder, batches.ids, SIZE, GRID, batch=3, seed=7, recipe=Augment(), views=2, contours=True)
    assert FrozenViews(fresh, Net(), tmp_path / "views", shared=True).folder != kept.folder


@pytest.mark.parametrize("content", ["", "[]", '{"arrays": []}', '{"arrays": ["nowhere"]}', '{"arrays": [1]}'])
def test_damaged_ones_are_made_again(batches: Batches, tmp_path: Path, content: str) -> None:
    FrozenViews(batches, Net(), tmp_path / "views")
    (tmp_path / "views" / "complete.json").write_text(content)
    net = Net()
    FrozenViews(batches, net, tmp_path / "views")
    assert net.seen == 10
