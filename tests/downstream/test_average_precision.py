"""Average precision against cases worked out by hand, and against COCO's tool where the rules agree."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest

from umadapt.downstream.average_precision import (
    Curve,
    Found,
    Truth,
    area,
    curve,
    curve_of,
    eleven_points,
    mean_of,
    measure,
    overlaps,
)

A, B, C = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)  # boxes that share nothing


def truth(*boxes: tuple[int, ...], difficult: tuple[int, ...] = ()) -> Truth:
    return Truth(np.array(boxes, float).reshape(-1, 4), np.isin(np.arange(len(boxes)), difficult))


def found(*rows: tuple[str, float, tuple[int, ...]]) -> Found:
    images, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Found(images, np.array(scores, float), np.array(boxes, float).reshape(-1, 4))


def both(rows: Found, objects: dict[str, Truth]) -> tuple[float, float]:
    shape, _ = curve(rows, objects)
    return eleven_points(shape), area(shape)


def test_overlaps() -> None:
    # half of A: 50 / 100; shifted by half a side: 50 / 150; apart: 0
    others = np.array([(0, 0, 10, 5), (5, 0, 15, 10), B], float)
    assert overlaps(np.array(A, float), others) == pytest.approx([1 / 2, 1 / 3, 0])


def test_all_found() -> None:
    assert both(found(("x", 0.9, A), ("y", 0.8, B)), {"x": truth(A), "y": truth(B)}) == (1, 1)


def test_a_miss_between_two_hits() -> None:
    # hit, miss, hit of 2 objects: recall .5 .5 1, precision 1 1/2 2/3. 11 points: 0 … .5 get 1, .6 … 1 get 2/3
    rows = found(("x", 0.9, A), ("x", 0.8, C), ("y", 0.7, B))
    assert both(rows, {"x": truth(A), "y": truth(B)}) == pytest.approx(
        ((6 * 1 + 5 * 2 / 3) / 11, 0.5 * 1 + 0.5 * 2 / 3)
    )


def test_an_object_that_is_never_found() -> None:
    # one of 4 objects: recall .25 at precision 1. 11 points: 0, .1, .2
    rows = found(("x", 0.9, A))
    assert both(rows, {"x": truth(A, B, C), "y": truth(A)}) == pytest.approx((3 / 11, 0.25))


def test_the_second_box_on_an_object_is_a_miss() -> None:
    # hit, miss, hit: as above, though the second box lies on A as well as the first
    rows = found(("x", 0.9, A), ("x", 0.8, A), ("x", 0.7, B))
    assert both(rows, {"x": truth(A, B)}) == pytest.approx(((6 + 5 * 2 / 3) / 11, 0.5 + 0.5 * 2 / 3))


def test_difficult_objects_are_neither_found_nor_missed() -> None:
    # of A, B (difficult), C: hit on A, two boxes on B that count for nothing, C is missed: recall 1/2 at precision 1
    rows = found(("x", 0.9, B), ("x", 0.8, A), ("x", 0.7, B))
    shape, objects = curve(rows, {"x": truth(A, B, C, difficult=(1,))})
    assert objects == 2
    assert shape.recall.tolist() == [0.5]
    assert shape.precision.tolist() == [1]
    assert (eleven_points(shape), area(shape)) == pytest.approx((6 / 11, 0.5))


def test_a_box_goes_to_the_object_that_it_overlaps_most_even_if_taken() -> None:
    """The devkit's rule, where COCO's would give the second box to the free object."""
    near = (0, 0, 10, 12)  # overlaps A by 100 / 120
    rows = found(("x", 0.9, A), ("x", 0.8, A))
    shape, _ = curve(rows, {"x": truth(A, near)})
    assert shape.precision.tolist() == [1, 0.5]


def test_overlap_of_exactly_a_half_counts() -> None:
    assert both(found(("x", 0.9, (0, 0, 10, 5))), {"x": truth(A)}) == (1, 1)
    assert both(found(("x", 0.9, (0, 0, 10, 4))), {"x": truth(A)}) == (0, 0)


def test_equal_scores_keep_their_order() -> None:
    hit, miss = ("x", 0.5, A), ("x", 0.5, C)
    assert area(curve(found(hit, miss), {"x": truth(A)})[0]) == 1
    assert area(curve(found(miss, hit), {"x": truth(A)})[0]) == 0.5


def test_nothing_detected_and_nothing_to_find() -> None:
    assert both(found(), {"x": truth(A)}) == (0, 0)
    ap = measure(
        {"cat": found(), "dog": found(("x", 0.9, A)), "cow": found(("x", 0.9, A))},
        {"cat": {"x": truth(A)}, "dog": {}, "cow": {"x": truth(A, difficult=(0,))}},
        ("cat", "dog", "cow"),
    )
    assert ap["cat"] == {"ap11": 0, "ap": 0, "objects": 1}
    assert ap["dog"] == ap["cow"] == {"ap11": None, "ap": None, "objects": 0}
    assert mean_of(ap, "ap") == 0
    assert mean_of({"dog": ap["dog"]}, "ap") is None


def test_precision_never_falls_where_recall_stands() -> None:
    # miss, hit of one object: precision 0, 1/2; the envelope takes 1/2 everywhere
    shape = curve_of(np.array([False, True]), 1)
    assert (eleven_points(shape), area(shape)) == pytest.approx((0.5, 0.5))
    assert area(Curve(np.zeros(0), np.zeros(0))) == 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_precision_at_each_recall_as_coco_has_it(seed: int) -> None:
    """Objects far apart, so that it is no question which of two a box belongs to; none is difficult.

    COCO samples the same envelope at 101 recalls; with a number of objects that divides 100 its mean is that of the
    steps between recalls, and so (100 area + precision at 0) / 101.
    """
    coco, cocoeval = (pytest.importorskip(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    rng = np.random.default_rng(seed)
    count = (10, 20, 25, 50)[seed]
    corners = np.array([(100 * (k % 5), 100 * (k // 5 % 4)) for k in range(count)], float)
    images = [str(1 + k // 20) for k in range(count)]
    boxes = np.concatenate([corners, corners + rng.uniform(30, 60, (count, 2))], 1)
    rows, order = [], np.linspace(0.99, 0.01, 200)  # scores all differ
    rng.shuffle(order)
    for k in range(count):
        for _ in range(int(rng.integers(0, 3))):  # some objects twice, some never
            rows.append((images[k], order[len(rows)], tuple(boxes[k] + rng.uniform(-6, 6, 4))))
        if rng.random() < 0.5:
            rows.append((images[k], order[len(rows)], (490, 390, 499, 399)))  # on nothing
    objects = {name: truth(*(b for i, b in zip(images, boxes, strict=True) if i == name)) for name in set(images)}
    ours, _ = curve(found(*rows), objects)

    def wide(box: np.ndarray) -> list[float]:
        return [*map(float, box[:2]), *map(float, np.subtract(box[2:], box[:2]))]

    with contextlib.redirect_stdout(io.StringIO()):
        gold = coco.COCO()
        gold.dataset = {
            "info": {},
            "images": [{"id": int(name)} for name in sorted(set(images))],
            "categories": [{"id": 1, "name": "thing"}],
            "annotations": [
                {"id": 1 + k, "image_id": int(images[k]), "category_id": 1, "bbox": wide(boxes[k]), "iscrowd": 0}
                | {"area": math.prod(wide(boxes[k])[2:])}
                for k in range(count)
            ],
        }
        gold.createIndex()
        given = [
            {"image_id": int(image), "category_id": 1, "bbox": wide(np.array(box)), "score": float(score)}
            for image, score, box in rows
        ]
        test = cocoeval.COCOeval(gold, gold.loadRes(given), "bbox")
        test.params.recThrs = np.arange(101) / 100  # its own ones are off by a rounding, and pass over a recall of 7/20
        test.evaluate()
        test.accumulate()
    theirs = test.eval["precision"][0, :, 0, 0, -1]  # IoU 0.5, 101 recalls, all sizes, 100 boxes an image
    recalls = test.params.recThrs
    envelope = [ours.precision[ours.recall >= r].max(initial=0.0) for r in recalls]
    assert theirs == pytest.approx(envelope)
    assert theirs.mean() == pytest.approx((100 * area(ours) + envelope[0]) / 101)
    assert 0.1 < area(ours) < 0.999, "no trivial case"
