"""Boxes around the furniture of a room, as the study of detection makes them."""

from __future__ import annotations

import importlib.util
from xml.etree import ElementTree

import numpy as np
import pytest
from studies.rooms_detection import annotation, boxes_of

from umadapt.data.camera import Camera
from umadapt.scenes.interior.layout import Room
from umadapt.scenes.labels import Pose
from umadapt.scenes.shapes import Item, box, quad

CAMERA = Camera(100.0, 100.0, 80.0, 60.0, 160, 120)
POSE = Pose(np.array([0.0, 0.0, 1.0]), np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))  # looks along x


def furnished() -> Room:
    """From x = 0 at a height of 1 m: two tables of a metre at 3 m, one with a small box on it, and a far lamp."""
    room = Room("office", 9.0, 4.0, 3.0)
    room.parts.append(quad(np.array([[0, -9, 0], [9, -9, 0], [9, 9, 0], [0, 9, 0]], float), "floor", "wood0"))
    table = Item((1, 1, 1.5), [box((-0.5, -0.5, 1.4), (0.5, 0.5, 1.5), "table", "wood0")])
    table.parts.append(box((-0.5, -0.5, 0), (0.5, -0.4, 1.4), "table", "wood0"))  # its back, of the same item
    for y in (0.8, 2.4):
        assert room.place(table, (3.5, y), 0.0)
    assert room.place(
        Item((0.1, 0.1, 0.1), [box((-0.05, -0.05, 0), (0.05, 0.05, 0.1), "box", "wood0")]), (3.1, 0.8), 0.0, 1.5
    )
    assert room.place(Item((0.2, 0.2, 1), [box((-0.1, -0.1, 0), (0.1, 0.1, 1), "lamp", "wood0")]), (8.0, 1.5), 0.0)
    return room


def test_the_parts_of_each_thing_are_known() -> None:
    room = furnished()
    assert [len(span) for span in room.spans] == [2, 2, 1, 1]
    assert [room.parts[span[0]].label for span in room.spans] == [6, 6, 28, 34]
    assert len(room.spans) == len(room.things)


@pytest.mark.skipif(importlib.util.find_spec("embreex") is None, reason="rays are cast by Embree")
def test_a_box_is_what_is_seen_of_a_piece_of_furniture() -> None:
    """y points left. A table from y = 0.3 to 1.3, 3 to 4 m ahead, its board seen from below: columns 80 - 130 / 3 to
    80 - 30 / 4, where its far corner is."""
    room = furnished()
    found = list(boxes_of(room, room.triangles(), POSE, CAMERA))
    assert [name for name, *_ in found] == ["table", "table"], "the box is no furniture, the lamp too narrow"
    assert (found[0][1], found[0][3]) == (round(80 - 130 / 3) + 1, 73)
    assert found[0][2] == round(60 - 50 / 3) + 1, "its top is half a metre above the camera"
    assert found[1][1] == 1, "what reaches beyond the picture ends with it"
    root = ElementTree.fromstring(annotation(found, CAMERA))
    assert [one.findtext("name") for one in root.findall("object")] == ["table", "table"]
    assert [int(side.text or 0) for side in root.findall("object/bndbox/*")] == [*found[0][1:], *found[1][1:]]
