"""Every label map against a second source, in another form than the file's."""

from __future__ import annotations

import numpy as np
import pytest

from umadapt.data.convert.base import NONE, label_map, rows
from umadapt.data.convert.kitti import eigen_frames
from umadapt.data.convert.nyudv2 import train_ids
from umadapt.data.convert.vkitti2 import colour_table
from umadapt.errors import UserError
from umadapt.evaluation.protocols import CITYSCAPES, SYNTHIA_16


def test_cityscapes_and_gta5_as_the_official_scripts_have_them() -> None:
    from cityscapesscripts.helpers.labels import labels, trainId2label

    found = label_map("cityscapes")
    official = {label.id: label.trainId for label in labels if label.id >= 0}
    assert {i: found.table[i] for i in official} == {i: NONE if t in (255, -1) else t for i, t in official.items()}
    assert found.classes == tuple(trainId2label[i].name for i in range(19)) == CITYSCAPES
    assert found.table[34] == NONE  # licence plates, which GTA5 alone stores
    assert len(found.table) == 35


def test_synthia_as_adaptation_papers_map_it() -> None:
    published = "3:0 4:1 2:2 21:3 5:4 7:5 15:6 9:7 6:8 16:9 1:10 10:11 17:12 8:13 18:14 19:15 20:16 12:17 11:18"
    expected = {int(theirs): int(ours) for theirs, ours in (pair.split(":") for pair in published.split())}
    found = label_map("synthia", CITYSCAPES)
    assert {i: int(t) for i, t in enumerate(found.table) if t != NONE} == expected
    assert found.known.all()
    assert len(found.table) == 23
    assert set(SYNTHIA_16) <= {CITYSCAPES[t] for t in expected.values()}


def test_vkitti2_by_the_colours_of_its_colors_txt() -> None:
    colors_txt = """
        Terrain 210 0 200
        Sky 90 200 255
        Tree 0 199 0
        Vegetation 90 240 0
        Building 140 140 140
        Road 100 60 100
        GuardRail 250 100 255
        TrafficSign 255 255 0
        TrafficLight 200 200 0
        Pole 255 130 0
        Misc 80 80 80
        Truck 160 60 60
        Car 255 127 80
        Van 0 139 139
        Undefined 0 0 0
    """
    same = {"Tree": "vegetation", "TrafficSign": "traffic sign", "TrafficLight": "traffic light", "Van": "car"}
    void = {"GuardRail", "Misc", "Undefined"}
    expected = {}
    for line in colors_txt.split("\n")[1:-1]:
        name, *channels = line.split()
        red, green, blue = map(int, channels)
        theirs = same.get(name, name.lower())
        expected[(red << 16) + (green << 8) + blue] = NONE if name in void else CITYSCAPES.index(theirs)
    assert colour_table() == expected


def test_nyu40() -> None:
    found = label_map("nyu40")
    assert found.table.tolist() == [NONE, *range(40)]
    names = [found.classes[i] for i in (0, 1, 2, 21, 36, 37, 38, 39)]
    assert names == ["wall", "floor", "cabinet", "ceiling", "bag", "otherstructure", "otherfurniture", "otherprop"]


def test_thirteen_classes_as_class13Mapping_mat_has_them() -> None:
    published = "12 5 6 1 4 9 10 12 13 6 8 6 13 10 6 13 6 7 7 5 7 3 2 6 11 7 7 7 7 7 7 6 7 7 7 7 7 7 6 7"
    found = label_map("nyu40_13")
    assert (found.table + 1).tolist() == [int(i) for i in published.split()]
    assert [row["source_name"] for row in rows("nyu40_13")] == list(label_map("nyu40").classes)
    names = "bed books ceiling chair floor furniture objects picture sofa table tv wall window"
    assert found.classes == tuple(names.split())


def test_the_894_classes_as_classMapping40_mat_has_them() -> None:
    """Thirty-seven of the forty have one class each; two gather many, and otherprop is the rest."""
    single = (
        "21 11 3 157 5 83 19 28 59 88 64 7 80 36 42 89 169 119 122 143 141 4 85 17 172 15 135 123 26 45 331 158 124 "
        "24 144 136 55"
    )
    structure = (
        "8 25 33 38 51 53 57 58 62 65 79 94 104 112 134 153 215 216 223 225 238 241 242 256 295 301 339 342 354 363 "
        "372 380 392 408 412 453 456 463 477 497 541 550 553 567 573 582 591 609 612 615 642 645 657 658 659 663 667 "
        "668 686 700 702 777 778 782 850 861 868 874"
    )
    furniture = (
        "12 43 48 50 87 106 111 161 163 174 183 204 214 219 221 224 236 262 278 291 298 313 343 344 356 359 373 393 "
        "401 414 418 419 430 443 444 447 448 457 458 460 462 475 479 485 486 493 494 498 499 509 510 515 521 524 540 "
        "549 551 554 556 558 576 580 608 625 703 734 770 772 797 800 803 804 813 814 815 820 829 835 858 863 882 892"
    )
    expected = np.full(895, 39)
    expected[0] = NONE
    expected[[int(i) for i in single.split()]] = np.arange(37)
    expected[[int(i) for i in structure.split()]] = 37
    expected[[int(i) for i in furniture.split()]] = 38
    np.testing.assert_array_equal(label_map("nyu894").table, expected)


def test_the_official_splits() -> None:
    train = train_ids()
    assert len(train) == len(set(train)) == 795
    assert train == sorted(train)
    assert (train[0], train[-1]) == ("0003", "1440")
    drives = {id.rsplit("-", 2)[0] for id in eigen_frames()}
    assert {len([i for i in eigen_frames() if i.startswith(d)]) for d in drives} == {25, 22}


def test_an_id_that_is_not_listed_is_named() -> None:
    with pytest.raises(UserError, match=r"a\.png: unknown label ids -1, 35, 200; expected those of maps/cityscapes"):
        label_map("cityscapes").apply(np.array([[0, 35], [200, -1]]), "a.png")
