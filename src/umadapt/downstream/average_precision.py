"""Average precision of detections as PASCAL VOC measures it (Everingham et al., IJCV 2010; the devkit's VOCevaldet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

OVERLAP = 0.5  # intersection over union from which a box is found


class Truth(NamedTuple):
    """The objects of one class in one image."""

    boxes: np.ndarray  # (N, 4) left, top, right, bottom
    difficult: np.ndarray  # (N,) bool: neither found nor missed


class Found(NamedTuple):
    """Detections of one class in all images."""

    images: Sequence[str]  # of each
    scores: np.ndarray  # (M,)
    boxes: np.ndarray  # (M, 4)


class Curve(NamedTuple):
    """Recall and precision after each detection that counts, in falling order of scores."""

    recall: np.ndarray
    precision: np.ndarray


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with others (N, 4): (N,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    inside = np.prod(np.maximum(sides, 0), axis=1)
    whole = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - inside
    return np.divide(inside, whole, out=np.zeros(len(boxes)), where=whole > 0)


def curve_of(hits: np.ndarray, objects: int) -> Curve:
    """The curve of hits and misses (M,) bool in falling order of scores."""
    found = np.cumsum(hits)
    return Curve(found / max(objects, 1), found / np.arange(1, len(hits) + 1))


def curve(found: Found, truth: Mapping[str, Truth]) -> tuple[Curve, int]:
    """Match detections of one class to its objects; (curve, number of objects that are not difficult).

    A detection belongs to the object that it overlaps most, if by half at least. The first one there is a hit, later
    ones are misses; on a difficult object it counts for nothing. Equal scores keep the order in which they came.
    """
    taken = {image: np.zeros(len(one.boxes), bool) for image, one in truth.items()}
    hits: list[bool] = []
    for k in map(int, np.argsort(-found.scores, kind="stable")):
        image = found.images[k]
        there = truth.get(image)
        ious = overlaps(found.boxes[k], there.boxes) if there is not None and len(there.boxes) else np.zeros(1)
        best = int(ious.argmax())
        if there is None or ious[best] < OVERLAP:
            hits.append(False)
        elif not there.difficult[best]:
            hits.append(not taken[image][best])
            taken[image][best] = True
    objects = int(sum((~one.difficult).sum() for one in truth.values()))
    return curve_of(np.array(hits, bool), objects), objects


def eleven_points(curve: Curve) -> float:
    """VOC 2007: the mean, over recalls 0, 0.1 … 1, of the best precision at that recall or more."""
    best = [curve.precision[curve.recall >= step / 10].max(initial=0.0) for step in range(11)]
    return float(np.mean(best))


def area(curve: Curve) -> float:
    """VOC from 2010 on: the area under the curve whose precision is the best at that recall or more."""
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * envelope))


def measure(
    found: Mapping[str, Found], truth: Mapping[str, Mapping[str, Truth]], classes: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """class -> {"ap11", "ap", "objects"}; the precisions are None for a class without an object to find."""
    out: dict[str, dict[str, float | None]] = {}
    for name in classes:
        of_class, objects = curve(found[name], truth[name])
        ap = (eleven_points(of_class), area(of_class)) if objects else (None, None)
        out[name] = {"ap11": ap[0], "ap": ap[1], "objects": objects}
    return out


def mean_of(ap: Mapping[str, Mapping[str, float | None]], key: str) -> float | None:
    """The mean over classes that have objects; None where none has."""
    values = [value for one in ap.values() if (value := one[key]) is not None]
    return float(np.mean(values)) if values else None
