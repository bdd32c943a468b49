"""Batches of a folder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from toys import write_toy_world
from umadapt.data.augment import Augment
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches


def _photos(folder: Folder, **options: Any) -> Batches:
    return Batches(folder, folder.ids, (48, 64), (24, 32), tasks=("depth", "seg"), batch=3, contours=True, **options)


def test_threads_make_the_batches_that_one_makes(toy_world: Path) -> None:
    folder = Folder(toy_world)
    alone, shared = _photos(folder, recipe=Augment()), _photos(folder, recipe=Augment())
    steps = 3 * len(folder.ids)  # over several permutations
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(shared, range(steps)))
    for step in range(steps):
        found, wanted = made[step], alone(step)
        assert found.ids == wanted.ids
        for parts in ((found.images, wanted.images), (found.contours, wanted.contours), (found.truths, wanted.truths)):
            torch.testing.assert_close(*parts, rtol=0, atol=0)
    assert shared.cached_bytes == sum(x.nbytes for sample in shared.cache.values() for x in sample.values())


def test_the_plain_picture_has_the_same_window_and_its_own_colours(toy_world: Path) -> None:
    folder = Folder(toy_world)
    seen, bare = (_photos(folder, recipe=recipe)(0) for recipe in (Augment(plain=True), Augment(strength=0)))
    assert torch.equal(seen.plain, bare.images)
    assert not torch.equal(seen.plain, seen.images)
    assert not torch.equal(seen.contours, bare.contours)  # those of what the network sees
    assert torch.equal(seen.truths["depth"], bare.truths["depth"])


def test_pictures_and_contours_are_on_the_device_that_is_asked_for(toy_world: Path) -> None:
    batch = _photos(Folder(toy_world), recipe=Augment(p_noise=0, p_blur=0, plain=True), device="meta")(0)
    assert {x.device.type for x in (batch.images, batch.plain, batch.contours)} == {"meta"}
    assert {task: x.device.type for task, x in batch.truths.items()} == {"depth": "cpu", "seg": "cpu"}


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
            torch.testing.assert_close(batch.contours, batch.images[:, :1], atol=1e-5, rtol=0)
    coloured = Batches(folder, folder.ids, (48, 64), (48, 64), batch=6, recipe=Augment(), contours=True, detector=red)
    torch.testing.assert_close(coloured(0).contours, made(0).contours)
