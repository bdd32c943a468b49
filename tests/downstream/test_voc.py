"""VOC's files, as they are and damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toy_transfer import COLOURS, OBJECT, write_list, write_toy_voc, write_xml
from umadapt.downstream.voc import CLASSES, open_split, read_objects
from umadapt.errors import UserError

NAMES = tuple(COLOURS)


def test_the_20_classes() -> None:
    assert len(set(CLASSES)) == 20
    assert list(CLASSES) == sorted(CLASSES)


def test_boxes_span_whole_pixels(tmp_path: Path) -> None:
    """A box of the pixels 1 to 3 is three pixels wide; parts of things, which VOC names too, are no objects."""
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    one = OBJECT.format(1, 2, 3, 5, name="green", difficult=1).replace("</object>", part + "</object>")
    found = read_objects(write_xml(tmp_path, "x", one, OBJECT.format(4, 4, 4, 4, name="red", difficult=0)), NAMES)
    assert found.boxes.tolist() == [[0, 1, 3, 5], [3, 3, 4, 4]]
    assert found.labels.tolist() == [1, 0]
    assert found.difficult.tolist() == [True, False]


def test_a_split(tmp_path: Path) -> None:
    split = open_split(write_toy_voc(tmp_path), 2007, "trainval", NAMES)
    assert split.ids == tuple(f"{k:06d}" for k in range(6))
    assert all(split.path(id).exists() for id in split.ids)
    assert [one.difficult.sum() for one in split.objects] == [0] * 5 + [1]
    before = split.digest()
    write_xml(split.folder, "000002", OBJECT.format(1, 1, 9, 9, name="red", difficult=0))
    after = open_split(tmp_path, 2007, "trainval", NAMES)
    assert after.digest() != before, "a run that was begun with other boxes is not gone on with"
    np.testing.assert_array_equal(after.objects[2].boxes, [[0, 0, 9, 9]])


NO_BOX = "<object><name>red</name></object>"


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([], "000001.xml has no object with a box"),
        ([NO_BOX], "000001.xml: red has no box of xmin, ymin, xmax, ymax"),
        ([OBJECT.format("a", 1, 2, 2, name="red", difficult=0)], "red has no box"),
        ([OBJECT.format(9, 1, 2, 2, name="red", difficult=0)], "the box of red, 9 1 2 2, is empty"),
        ([OBJECT.format(1, 1, 2, 2, name="cow", difficult=0)], "000001.xml: 'cow' is no class of red, green, blue"),
        (["<object>"], "000001.xml is damaged"),
    ],
)
def test_annotations_that_are_none(tmp_path: Path, objects: list[str], said: str) -> None:
    write_toy_voc(tmp_path)
    write_xml(tmp_path / "VOC2007", "000001", *objects)
    with pytest.raises(UserError, match=said):
        open_split(tmp_path, 2007, "test", NAMES)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    write_toy_voc(tmp_path)
    with pytest.raises(UserError, match="has no folder VOC2012; give --voc VOCdevkit"):
        open_split(tmp_path, 2012, "test")
    with pytest.raises(UserError, match=r"val\.txt cannot be read; expected VOC2007 with annotations of val"):
        open_split(tmp_path, 2007, "val")
    write_list(tmp_path / "VOC2007", "test")
    with pytest.raises(UserError, match="names no image"):
        open_split(tmp_path, 2007, "test", NAMES)
    write_list(tmp_path / "VOC2007", "test", "000000", "999999")
    with pytest.raises(UserError, match=r"999999\.xml: no such file"):
        open_split(tmp_path, 2007, "test", NAMES)
