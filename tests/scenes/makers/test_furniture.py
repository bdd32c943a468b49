"""Every maker fills its box, stands on z = 0, is closed with normals outwards, and hides no surface in another."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from umadapt.scenes.classes import NYU40
from umadapt.scenes.makers import bathroom, clutter, fixtures, furniture, storage
from umadapt.scenes.makers.forms import Rng, blob, lathe, leaf, limb, loft, rim, ring, wrap
from umadapt.scenes.shapes import Item, Part, Top, box, curtain, cushion, frustum

MAKERS: dict[str, Callable[[Rng], Item]] = {
    **{
        f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
        for module, names in (
            (furniture, "table coffee_table side_table desk bed bunk_bed sofa chair office_chair"),
            (storage, "dresser night_stand wardrobe cabinet tv_stand bookshelf refrigerator radiator"),
            (
                clutter,
                "carton book_pile vessel plant monitor television keyboard papers table_lamp floor_lamp ceiling_lamp "
                "bin_ bag door picture whiteboard",
            ),
            (
                bathroom,
                "toilet bathtub washbasin vanity towel_rail towel_pile bath_mat bath_bottle toilet_roll",
            ),
            (
                fixtures,
                "air_conditioner appliance armchair backpack basket bench blackboard box_pile clothes clothes_pile "
                "column desk_lamp display_rack fireplace island kettle laptop microwave mirror notice_board ottoman "
                "paper_stack pendant person piano printer projector_screen rack range_hood shopping_bag socket stool "
                "stove suitcase switch telephone television_wall toy wall_clock wall_shelf",
            ),
        )
        for name in names.split()
    },
    "storage.kitchen_run": lambda rng: storage.kitchen_run(rng, rng.uniform(1.2, 3.2)),
    "clutter.plant_big": lambda rng: clutter.plant(rng, True),
    "clutter.carton_big": lambda rng: clutter.carton(rng, True),
    "clutter.window": lambda rng: clutter.window(rng, 1.2, 1.1),
    "clutter.rug": lambda rng: clutter.rug(rng, 1.2, 0.8),
    "bathroom.shower_curtain": lambda rng: bathroom.shower_curtain(rng, 1.5, 1.9),
    "fixtures.blinds": lambda rng: fixtures.blinds(rng, 1.3, 1.2),
    "fixtures.beam": lambda rng: fixtures.beam(rng, 3.0),
    "fixtures.net_curtain": lambda rng: fixtures.net_curtain(rng, 1.3, 2.0),
}


def signed_volume(part: Part) -> float:
    a, b, c = (part.vertices[part.faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(part: Part) -> bool:
    """Every edge is met as often in one direction as in the other."""
    _, point = np.unique(np.round(part.vertices, 7) + 0.0, axis=0, return_inverse=True)
    faces = point.ravel()[part.faces]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = edges[edges[:, 0] != edges[:, 1]]
    code = edges @ [len(part.vertices), 1]
    back = edges[:, ::-1] @ [len(part.vertices), 1]
    return bool((np.sort(code) == np.sort(back)).all())


def flat_faces(part: Part) -> list[tuple[int, int, float, np.ndarray, np.ndarray]]:
    """Axis-aligned triangles as (axis, sign, offset, low, high) with the bounds of the other two axes."""
    corners = part.vertices[part.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    out = []
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        for t in np.flatnonzero(np.abs(normal[:, axis]) > 1 - 1e-9):
            flat = corners[t][:, others]
            out.append((axis, int(np.sign(normal[t, axis])), float(corners[t, 0, axis]), flat.min(0), flat.max(0)))
    return out


def shared_planes(item: Item) -> list[str]:
    """Pairs of overlapping faces with different labels in one plane, that look the same way."""
    faces = [(part.label, *face) for part in item.parts for face in flat_faces(part)]
    faces.sort(key=lambda f: (f[1], f[2], f[3]))
    found = []
    for i, a in enumerate(faces):
        for b in faces[i + 1 :]:
            if (b[1], b[2]) != (a[1], a[2]) or b[3] - a[3] > 2e-4:
                break
            common = np.minimum(a[5], b[5]) - np.maximum(a[4], b[4])
            if a[0] != b[0] and (common > 2e-3).all():
                found.append(f"{NYU40[a[0]]} and {NYU40[b[0]]} at {'xyz'[a[1]]} = {a[3]:.4f}")
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_items_hold(name: str) -> None:
    for seed in range(8):
        item = MAKERS[name](np.random.default_rng(seed))
        points = np.concatenate([p.vertices for p in item.parts])
        w, d, h = item.size
        assert (np.abs(points[:, 0]) <= w / 2 + 0.004).all()
        assert (np.abs(points[:, 1]) <= d / 2 + 0.004).all()
        assert points[:, 2].max() <= h + 0.004
        assert points[:, 2].min() == pytest.approx(0.0, abs=1e-9)  # stands on its ground
        assert all(signed_volume(p) > 0 for p in item.parts)  # normals point outwards
        assert all(is_closed(p) for p in item.parts)
        assert all(np.isfinite(p.uv).all() and len(p.uv) == len(p.vertices) for p in item.parts)
        assert shared_planes(item) == []
        assert sum(len(p.faces) for p in item.parts) <= 5000
        for top in item.tops:
            assert -w / 2 - 0.004 <= top.lo[0] < top.hi[0] <= w / 2 + 0.004
            assert -d / 2 - 0.004 <= top.lo[1] < top.hi[1] <= d / 2 + 0.004
            assert 0 < top.z <= h + 0.004


def test_makers_show_nearly_all_classes() -> None:
    seen = {
        part.label for make in MAKERS.values() for seed in range(8) for part in make(np.random.default_rng(seed)).parts
    }
    absent = {NYU40[k] for k in range(len(NYU40))} - {NYU40[k] for k in seen}
    assert absent <= {"floor", "ceiling"}


def test_items_are_drawn_from_rng_alone() -> None:
    for make in MAKERS.values():
        one, two = (make(np.random.default_rng(3)) for _ in range(2))
        assert [p.material for p in one.parts] == [p.material for p in two.parts]
        assert all((p.vertices == q.vertices).all() for p, q in zip(one.parts, two.parts, strict=True))


def test_forms_are_closed() -> None:
    rings = np.array([np.column_stack([ring(r, 2 * r, 7), np.full(7, z)]) for r, z in ((0.1, 0.0), (0.2, 0.1))])
    for part in (
        frustum((0, 0, 0), 0.2, 0.1, 0.5, "lamp", "x"),
        cushion((0, 0, 0), (0.4, 0.3, 0.2), "pillow", "x"),
        curtain(0.5, 2.0, 4, "curtain", "x"),
        loft(rings, "lamp", "x"),
        loft(rings[::-1], "lamp", "x"),
        lathe(rim([(0.1, 0.0), (0.2, 0.3)], 0.02), "sink", "x"),
        limb((0, 0, 0), (0.1, 0.3, 0.2), 0.02, 0.01, "chair", "x"),
        limb((0, 0, 0), (0, 0.3, 0), 0.02, 0.01, "chair", "x"),
        blob((0, 0, 0), (0.4, 0.3, 0.2), "pillow", "x"),
        leaf((0, 0, 0), 0.3, 0.1, 20, 30, 0.5, "x"),
    ):
        assert is_closed(part)
        assert signed_volume(part) > 0


def test_forms_have_their_size() -> None:
    solid = blob((0, 0, 0), (0.4, 0.3, 0.2), "pillow", "x")
    np.testing.assert_allclose(np.ptp(solid.vertices, axis=0), [0.4, 0.3, 0.2], rtol=0.1)
    assert (np.ptp(solid.vertices, axis=0) <= np.array([0.4, 0.3, 0.2]) + 1e-9).all()
    bar = limb((0, 0, 0), (0, 0, 1), 0.1, 0.1, "chair", "x", 64)
    assert signed_volume(bar) == pytest.approx(np.pi * 0.01, rel=0.01)
    bowl = rim([(0.1, 0.0), (0.2, 0.3)], 0.02)
    assert all(z <= 0.3 for _, z in bowl)
    full = lathe([(0.0, 0.0), (0.1, 0.0), (0.2, 0.3), (0.0, 0.3)], "sink", "x", n=48)
    assert signed_volume(lathe(bowl, "sink", "x", n=48)) < signed_volume(full) / 2


def test_wrap_moves_tops_with_parts() -> None:
    item = wrap([box((1, 2, 3), (2, 4, 4), "table", "x")], [Top((1, 2), (2, 4), 4.0)])
    assert item.size == (1, 2, 1)
    top = item.tops[0]
    assert [top.lo, top.hi, top.z] == [(-0.5, -1.0), (0.5, 1.0), 1.0]


def test_things_for_walls_lie_on_them() -> None:
    """Their deepest part is at the back: nothing but flat backs touches y = -depth / 2."""
    for name in ("mirror", "wall_clock", "notice_board", "blackboard", "television_wall", "socket", "switch"):
        item = getattr(fixtures, name)(np.random.default_rng(1))
        back = min(float(p.vertices[:, 1].min()) for p in item.parts)
        assert back == pytest.approx(-item.size[1] / 2)
        assert item.size[1] < min(item.size[0], item.size[2])


def test_books_stand_side_by_side() -> None:
    row = storage.load(np.random.default_rng(0), 0.0, 1.0, 0.0, 0.25, 0.5, 0.3, "books")
    books = [book for part in row for book in part.vertices.reshape(-1, 24, 3)]  # a box has 24 vertices
    spans = sorted((float(book[:, 0].min()), float(book[:, 0].max())) for book in books)
    assert len(books) > 15
    assert len(row) <= 3 * 8
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(p.vertices[:, 2].min() >= 0.5 and p.vertices[:, 2].max() <= 0.8 + 1e-9 for p in row)
