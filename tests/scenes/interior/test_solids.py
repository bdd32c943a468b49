"""The boxes of a piece of furniture hold its mesh and leave room where there is room; tops are found in meshes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from umadapt.scenes.interior.solids import flat_top, rectangles, solids
from umadapt.scenes.makers import furniture, storage
from umadapt.scenes.shapes import Item, box, cylinder


def inside(boxes: np.ndarray, point: tuple[float, float, float]) -> bool:
    x, y, z = point
    low, high = boxes[:, ::2], boxes[:, 1::2]
    return bool(((low <= (x, y, z)) & (high >= (x, y, z))).all(1).any())


@pytest.mark.parametrize("maker", [furniture.table, furniture.bed, furniture.sofa, furniture.chair, furniture.desk])
def test_solids_hold_the_mesh(maker) -> None:
    for seed in range(6):
        item = maker(np.random.default_rng(seed))
        boxes = solids(item)
        assert (boxes[:, ::2] <= boxes[:, 1::2]).all()
        for part in item.parts:
            centroids = part.vertices[part.faces].mean(1)
            held = (boxes[:, None, ::2] - 1e-9 <= centroids) & (boxes[:, None, 1::2] + 1e-9 >= centroids)
            assert held.all(-1).any(0).all()


def test_a_table_is_free_below() -> None:
    parts = [box((-0.8, -0.4, 0.7), (0.8, 0.4, 0.74), "table", "wood0")]
    parts += [cylinder((x, y, 0.0), 0.03, 0.7, "table", "wood0") for x in (-0.7, 0.7) for y in (-0.3, 0.3)]
    boxes = solids(Item((1.6, 0.8, 0.74), parts))
    assert inside(boxes, (0.7, 0.3, 0.3))
    assert not inside(boxes, (0.0, 0.0, 0.3))
    assert inside(boxes, (0.0, 0.0, 0.72))


def test_a_counter_is_free_between_its_cabinets() -> None:
    for seed in range(8):
        item = storage.kitchen_run(np.random.default_rng(seed), 2.2)
        boxes = solids(item)
        for top in item.tops:
            middle = ((top.lo[0] + top.hi[0]) / 2, (top.lo[1] + top.hi[1]) / 2)
            assert inside(boxes, (*middle, top.z - 0.01))
            assert not inside(boxes, (*middle, top.z + 0.1))


def test_rectangles_cut_a_map() -> None:
    level = np.array([[0, 0, 1], [0, 0, 1], [-1, 2, 2]])
    assert rectangles(level) == [(0, 2, 0, 2), (0, 2, 2, 3), (2, 3, 1, 3)]


def test_tops_are_found_in_the_mesh() -> None:
    item = furniture.table(np.random.default_rng(1), w=1.4, d=0.8)
    (top,) = flat_top(replace(item, tops=[]))
    assert top.z == pytest.approx(item.size[2], abs=1e-6)
    assert -0.7 <= top.lo[0] < -0.55
    assert 0.3 < top.hi[1] <= 0.4
    (disc,) = flat_top(Item((1.0, 1.0, 0.7), [cylinder((0, 0, 0), 0.5, 0.7, "table", "wood0")]))
    assert np.hypot(*disc.hi) < 0.51
    assert np.hypot(*disc.lo) < 0.51
    assert disc.hi[0] - disc.lo[0] > 0.5
    steep = Item((1.0, 1.0, 0.7), [cylinder((0, 0, 0), 0.04, 0.7, "table", "wood0")])
    assert flat_top(steep) == []
