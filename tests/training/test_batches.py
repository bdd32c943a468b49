"""What training is told of a whole set, and batches of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toys import write_toy_world
from umadapt.data.augment import Augment
from umadapt.data.folder import Folder
from umadapt.training import batches
from umadapt.training.batches import Batches, class_frequencies


@pytest.mark.parametrize("counted", [100, 5])
def test_class_frequencies_of_all_or_of_evenly_spaced_images(
    toy_world: Path, monkeypatch: pytest.MonkeyPatch, counted: int
) -> None:
    monkeypatch.setattr(batches, "COUNTED", counted)
    folder = Folder(toy_world)
    read = folder.ids if counted == 100 else folder.ids[::3]
    counts = np.zeros(256, np.int64)
    for id in read:
        seg = folder.read_seg(id)
        assert seg is not None
        counts += np.bincount(seg.ravel(), minlength=256)
    counts = counts[: len(folder.classes)]
    assert class_frequencies(folder, folder.ids) == pytest.approx(counts / counts.sum())


def _photos(folder: Folder, **options: Any) -> Batches:
    return Batches(folder, folder.ids, (48, 64), (24, 32), tasks=("depth", "seg"), batch=3, contours=True, **options)


def test_threads_make_the_batches_that_one_makes(toy_world: Path) -> None:
    folder = Folder(toy_world)
    alone, shared = _photos(folder, recipe=Augment()), _photos(folder, recipe=Augment())
    steps = 3 * len(folder.ids)  # over several permutations
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(shared, range(steps)))
    for step in range(steps):
        wanted = alone(step)
        assert made[step].pop("ids") == wanted.pop("ids")
        torch.testing.assert_close(made[step], wanted, rtol=0, atol=0)
    assert shared.cached_bytes == sum(x.nbytes for sample in shared.cache.values() for x in sample.values())


def test_the_plain_picture_has_the_same_window_and_its_own_colours(toy_world: Path) -> None:
    folder = Folder(toy_world)
    seen, bare = (_photos(folder, recipe=recipe)(0) for recipe in (Augment(plain=True), Augment(strength=0)))
    assert torch.equal(seen["plain"], bare["image"])
    assert not torch.equal(seen["plain"], seen["image"])
    assert not torch.equal(seen["contour"], bare["contour"])  # those of what the network sees
    assert torch.equal(seen["depth"], bare["depth"])


def test_pictures_and_contours_are_on_the_device_that_is_asked_for(toy_world: Path) -> None:
    batch = _photos(Folder(toy_world), recipe=Augment(p_noise=0, p_blur=0, plain=True), device="meta")(0)
    assert {k: x.device.type for k, x in batch.items() if k != "ids"} == {
        "image": "meta",
        "plain": "meta",
        "contour": "meta",
        "depth": "cpu",
        "seg": "cpu",
    }


def test_contours_of_a_detector_follow_the_geometry_of_the_image(tmp_path: Path) -> None:
    """A detector that gives a photo's red: on a grid of the image's size it is the image's red."""
    write_toy_world(tmp_path, 6, seed=0)
    folder = Folder(tmp_path)

    def red(folder: Folder, id: str) -> torch.Tensor:
        image = torch.from_numpy(folder.read_image(id))[..., 0].float()
        return image[None] / 255

    for recipe in (None, Augment(strength=0)):
        made = Batches(folder, folder.ids, (48, 64), (48, 64), batch=6, recipe=recipe, contours=True, detector=red)
        for step in range(3):
            batch = made(step)
            torch.testing.assert_close(batch["contour"], batch["image"][:, :1], atol=1e-5, rtol=0)
    coloured = Batches(folder, folder.ids, (48, 64), (48, 64), batch=6, recipe=Augment(), contours=True, detector=red)
    torch.testing.assert_close(coloured(0)["contour"], made(0)["contour"])
