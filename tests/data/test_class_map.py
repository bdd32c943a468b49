"""Classes of one's own: what a map makes of others, and what is wrong with one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toys import CLASSES
from umadapt.data.atomic import write_json
from umadapt.data.class_map import is_merged, merging, read_class_map
from umadapt.data.convert.base import label_map
from umadapt.data.files import write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.scenes.classes import NYU40


def test_new_ids_follow_the_map_and_what_it_does_not_name_stays() -> None:
    found = merging({"ball": "thing", "box": "thing", "floor": None}, CLASSES, "toys")
    assert found.classes == ("thing", "wall")
    assert found.ids == (1, None, 0, 0)  # of wall, floor, box, ball
    assert found.table()[[0, 1, 2, 3, 4, 255]].tolist() == [1, 255, 0, 0, 255, 255]


def test_a_star_is_every_class_that_is_not_named() -> None:
    assert merging({"floor": "ground", "*": None}, CLASSES, "toys") == (("ground",), (None, 0, None, None))
    assert merging({"*": "rest", "wall": "wall"}, CLASSES, "toys").classes == ("rest", "wall")


def test_the_map_that_ships_is_the_one_of_the_converter() -> None:
    found, few = merging(read_class_map("nyu13"), NYU40, "rooms"), label_map("nyu40_13")
    assert found.classes == few.classes
    np.testing.assert_array_equal(found.ids, few.table)
    assert is_merged(read_class_map("nyu13"), few.classes)
    assert not is_merged(read_class_map("nyu13"), NYU40)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"bax": "thing"}, r"'bax', which toys has not; is 'box' meant\? Its classes: wall, floor"),
        ({"zzzzzz": "thing", "yyyyyy": "thing"}, r"'zzzzzz' and 1 more, which toys has not\. Its classes"),
        ({"*": None}, "ignores every class"),
    ],
)
def test_a_map_of_other_classes(names: dict[str, str | None], says: str) -> None:
    with pytest.raises(UserError, match=says):
        merging(names, CLASSES, "toys")


@pytest.mark.parametrize("content", ["", "[]", '{"a": 3}', '{"a": ["b"]}', "{'a': 'b'}", "\xff"])
def test_what_is_no_map(tmp_path: Path, content: str) -> None:
    (tmp_path / "map.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"map\.json: .*; expected JSON such as"):
        read_class_map(str(tmp_path / "map.json"))


def test_a_missing_map_and_words_for_ignoring(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; maps that ship: nyu13"):
        read_class_map(str(tmp_path / "map.json"))
    (tmp_path / "map.json").write_text(json.dumps({"a": "ignore", "b": None, "c": "d"}))
    assert read_class_map(str(tmp_path / "map.json")) == {"a": None, "b": None, "c": "d"}


def test_a_folder_reads_its_labels_so(toy_world: Path, tmp_path: Path) -> None:
    plain, merged = Folder(toy_world), Folder(toy_world)
    merged.merge_classes({"box": "thing", "ball": "thing", "wall": None})
    assert merged.classes == ("thing", "floor")
    before, after = plain.read_seg("000"), merged.read_seg("000")
    assert before is not None
    assert after is not None
    assert after[before == 2] == pytest.approx(0)
    assert after[before == 1] == pytest.approx(1)
    assert after[before == 0] == pytest.approx(merged.ignore)
    merged.merge_classes({"box": "thing", "ball": "thing", "floor": "floor"})  # once more changes nothing
    assert merged.classes == ("thing", "floor")


def test_an_id_of_no_class_is_still_found_out(tmp_path: Path) -> None:
    write_seg(tmp_path / "seg" / "a.png", np.array([[0, 9]], np.uint8))
    write_json(tmp_path / "dataset.json", {"tasks": {"seg": {"classes": list(CLASSES), "ignore": 7}}})
    folder = Folder(tmp_path)
    folder.merge_classes({"box": "ball"})
    with pytest.raises(UserError, match="unknown class ids 9; expected 0 to 3, or 7"):
        folder.read_seg("a")
