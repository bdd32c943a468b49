"""Kinds of rooms as in NYUDv2: how large, how often, with what openings, and what stands in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from umadapt.scenes.interior.arrange import Home, Mix
from umadapt.scenes.interior.furnishing import (
    bath,
    bedroom,
    bookstore,
    classroom,
    dining,
    kitchen,
    living,
    office,
    study,
)
from umadapt.scenes.interior.openings import Openings

Range = tuple[float, float]

_MORE: Mix = (
    ("cabinet", 4), ("dresser", 1), ("shelves", 1.5), ("sofa", 1), ("bookshelf", 1), ("chair", 2),
    ("furniture_misc", 5), ("armchair", 1.5), ("side_table", 1), ("bench", 0.5), ("stool", 0.7), ("table", 1.5),
    ("tv_stand", 0.7), ("wardrobe", 1),
)  # fmt: skip
_WALLS: Mix = (
    ("picture", 5), ("mirror", 1.5), ("wall_clock", 0.5), ("wall_shelf", 0.8), ("wall_misc", 1), ("wall_lamp", 0.7),
    ("wall_tv", 0.3), ("notice_board", 0.3), ("air_conditioner", 0.2),
)  # fmt: skip
_FLOOR: Mix = (
    ("box", 2), ("bag", 4), ("bin", 1), ("plant", 1), ("floor_lamp", 0.6), ("floor_misc", 2), ("shoes", 1.5),
    ("clothes_pile", 0.7), ("paper", 0.4), ("floor_toy", 0.5),
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind: its share among rooms, sizes in metres, openings, furniture, what hangs at walls and lies around."""

    share: float
    width: Range
    depth: Range
    furnish: Callable[[Home], None]
    height: Range = (2.35, 2.9)
    openings: Openings = field(default_factory=Openings)
    more: Mix = _MORE  # what else stands along the walls
    crowd: tuple[int, int] = (1, 4)  # how many tries
    walls: Mix = _WALLS
    hung: Range = (3, 8)  # how many of them, on average
    floor: Mix = _FLOOR
    lying: Range = (2, 7)
    tiled: float = 0.0  # probability of a lower wall part with tiles
    panels: float = 0.0  # probability of a grid of office luminaires


_OFFICE_WALLS: Mix = (
    ("picture", 3), ("notice_board", 1.5), ("whiteboard", 1.2), ("wall_clock", 0.7), ("wall_shelf", 0.6),
    ("air_conditioner", 0.4), ("wall_misc", 0.5),
)  # fmt: skip
_OFFICE_MORE: Mix = (
    ("cabinet", 4), ("shelves", 2), ("bookshelf", 1.5), ("chair", 2), ("table", 1.5), ("furniture_misc", 2.5),
    ("office_chair", 1), ("desk", 1),
)  # fmt: skip
_BATH_WALLS: Mix = (("towel", 1.5), ("wall_shelf", 1), ("picture", 1), ("wall_misc", 0.5), ("wall_cabinet", 1))
_BARE: tuple[tuple[str, float], ...] = (("blinds", 0.65), ("", 0.35))

KINDS: dict[str, Kind] = {
    "bedroom": Kind(0.3, (2.7, 5.0), (2.7, 4.6), bedroom, crowd=(2, 5), lying=(2, 9)),
    "living": Kind(0.2, (3.2, 7.5), (3.1, 6.0), living, openings=Openings(windows=(1, 3)), crowd=(3, 7)),
    "kitchen": Kind(
        0.18, (2.4, 5.6), (2.4, 4.8), kitchen, openings=Openings((1, 2), (0, 2), (0.7, 1.4), (1.05, 1.2), radiator=0.1),
        more=(("cabinet", 3), ("shelves", 2), ("appliance", 1), ("chair", 1.5), ("counter", 1), ("table", 1)),
        crowd=(0, 3), tiled=0.25, hung=(2, 5),
        floor=(("bin", 2), ("box", 1), ("bag", 2), ("floor_misc", 1.5), ("bath_mat", 1)), lying=(1, 5),
        walls=(
            ("picture", 2), ("wall_clock", 1), ("wall_shelf", 1.5), ("wall_misc", 0.7), ("notice_board", 0.5),
            ("wall_cabinet", 1.5),
        ),
    ),
    "bathroom": Kind(
        0.1, (1.6, 2.8), (2.0, 3.3), bath, openings=Openings((1, 1), (0, 1), (0.5, 0.9), (1.1, 1.4), radiator=0.2),
        more=(("cabinet", 2), ("shelves", 1), ("furniture_misc", 1), ("stool", 1)), crowd=(1, 3), tiled=0.7,
        walls=_BATH_WALLS, hung=(1, 4), floor=(("bin", 2), ("bath_mat", 1.5), ("floor_misc", 1), ("clothes_pile", 1)),
        lying=(1, 4),
    ),
    "dining": Kind(0.08, (2.9, 6.8), (2.9, 5.4), dining, crowd=(2, 5), lying=(1, 4)),
    "office": Kind(
        0.1, (2.7, 7.5), (2.7, 6.0), office, openings=Openings((1, 2), (1, 3), dressing=_BARE), more=_OFFICE_MORE,
        crowd=(1, 4), walls=_OFFICE_WALLS, panels=0.6,
    ),
    "study": Kind(0.05, (2.5, 4.0), (2.5, 3.8), study, more=_OFFICE_MORE, walls=_OFFICE_WALLS),
    "classroom": Kind(
        0.04, (5.0, 10.0), (5.0, 8.0), classroom, (2.6, 3.2), Openings((1, 2), (2, 4), dressing=_BARE), _OFFICE_MORE,
        (2, 6), _OFFICE_WALLS, panels=0.8, lying=(1, 5),
    ),
    "bookstore": Kind(
        0.05, (5.0, 13.0), (5.0, 9.0), bookstore, (2.7, 3.3), Openings((1, 2), (0, 2), dressing=_BARE), panels=0.6,
        more=(("bookshelf", 3), ("display", 2), ("table", 1), ("shelves", 2), ("furniture_misc", 1)), crowd=(1, 4),
        floor=(("box", 3), ("bag", 1), ("plant", 1)), lying=(1, 5),
    ),
}  # fmt: skip
