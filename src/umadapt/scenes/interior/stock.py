"""Where items come from: models of a furniture catalogue where there is one, procedural makers otherwise."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from umadapt.errors import UserError
from umadapt.scenes.interior.solids import flat_top
from umadapt.scenes.makers import bathroom, clutter, fixtures, furniture, storage
from umadapt.scenes.makers.furniture import Rng
from umadapt.scenes.shapes import Item, cushion, move

if TYPE_CHECKING:
    from umadapt.scenes.sweethome.catalogue import Catalogue, Model

Maker = Callable[[Rng], Item]


def pillow(rng: Rng) -> Item:
    """A cushion that lies flat."""
    w, d, h = rng.uniform(0.38, 0.65), rng.uniform(0.36, 0.45), rng.uniform(0.1, 0.15)
    material = rng.choice(["white0", "white1", *(f"fabric{k}" for k in range(5))])
    return Item((w, d, h), [cushion((0, 0, h / 2), (w, d, h), "pillow", str(material), rng.uniform(0.5, 0.9))])


# Role -> procedural makers, each with its weight.
MAKERS: dict[str, list[tuple[Maker, float]]] = {
    "bed": [(furniture.bed, 9), (furniture.bunk_bed, 1)],
    "sofa": [(furniture.sofa, 1)],
    "armchair": [(fixtures.armchair, 1)],
    "chair": [(furniture.chair, 1)],
    "office_chair": [(furniture.office_chair, 1)],
    "stool": [(fixtures.stool, 3), (fixtures.ottoman, 1)],
    "bench": [(fixtures.bench, 1)],
    "table": [(furniture.table, 1)],
    "coffee_table": [(furniture.coffee_table, 1)],
    "side_table": [(furniture.side_table, 1)],
    "desk": [(furniture.desk, 1)],
    "dresser": [(storage.dresser, 1)],
    "night_stand": [(storage.night_stand, 1)],
    "wardrobe": [(storage.wardrobe, 1)],
    "cabinet": [(storage.cabinet, 1)],
    "tv_stand": [(storage.tv_stand, 1)],
    "bookshelf": [(storage.bookshelf, 1)],
    "shelves": [(fixtures.rack, 1)],
    "counter": [(fixtures.island, 1)],
    "refrigerator": [(storage.refrigerator, 1)],
    "range_hood": [(fixtures.range_hood, 1)],
    "stove": [(fixtures.stove, 1)],
    "appliance": [(fixtures.appliance, 1)],
    "toilet": [(bathroom.toilet, 1)],
    "basin": [(bathroom.washbasin, 1)],
    "vanity": [(bathroom.vanity, 1)],
    "bathtub": [(bathroom.bathtub, 1)],
    "piano": [(fixtures.piano, 1)],
    "radiator": [(storage.radiator, 1)],
    "fireplace": [(fixtures.fireplace, 1)],
    "furniture_misc": [(fixtures.ottoman, 1), (fixtures.bench, 1)],
    "island": [(fixtures.island, 1)],
    "display": [(fixtures.display_rack, 2), (fixtures.rack, 1), (storage.bookshelf, 2)],
    # on tops
    "vessel": [(clutter.vessel, 1)],
    "book": [(clutter.book_pile, 1)],
    "plant_small": [(clutter.plant, 1)],
    "monitor": [(clutter.monitor, 1)],
    "laptop": [(fixtures.laptop, 1)],
    "keyboard": [(clutter.keyboard, 1)],
    "table_lamp": [(clutter.table_lamp, 3), (fixtures.desk_lamp, 1)],
    "desk_lamp": [(fixtures.desk_lamp, 1)],
    "kitchen_top": [(fixtures.microwave, 2), (fixtures.kettle, 2), (fixtures.appliance, 1), (clutter.vessel, 3)],
    "microwave": [(fixtures.microwave, 1)],
    "toy": [(fixtures.toy, 1)],
    "gadget": [(fixtures.telephone, 2), (fixtures.printer, 1), (fixtures.laptop, 1), (fixtures.desk_lamp, 1)],
    "bath_small": [(bathroom.bath_bottle, 5), (bathroom.toilet_roll, 1), (bathroom.towel_pile, 1)],
    "tv": [(clutter.television, 1)],
    "paper": [(clutter.papers, 2), (fixtures.paper_stack, 1)],
    "small_box": [(clutter.carton, 3), (fixtures.basket, 1)],
    "towel_pile": [(bathroom.towel_pile, 1)],
    "pillow": [(pillow, 1)],
    "clothes_pile": [(fixtures.clothes_pile, 1)],
    # on the floor
    "bag": [(clutter.bag, 2), (fixtures.backpack, 3), (fixtures.shopping_bag, 2), (fixtures.suitcase, 1)],
    "box": [(lambda r: clutter.carton(r, True), 3), (fixtures.box_pile, 1), (fixtures.basket, 1)],
    "bin": [(clutter.bin_, 1)],
    "plant": [(lambda r: clutter.plant(r, True), 1)],
    "floor_toy": [(fixtures.toy, 1)],
    "person": [(fixtures.person, 1)],
    "floor_lamp": [(clutter.floor_lamp, 1)],
    "floor_misc": [(fixtures.basket, 1), (clutter.bin_, 1), (fixtures.suitcase, 1)],
    "rug": [(lambda r: clutter.rug(r, r.uniform(0.9, 2.2), r.uniform(0.6, 1.5)), 1)],
    "bath_mat": [(bathroom.bath_mat, 1)],
    # at walls
    "picture": [(clutter.picture, 1)],
    "mirror": [(fixtures.mirror, 1)],
    "wall_clock": [(fixtures.wall_clock, 1)],
    "wall_shelf": [(fixtures.wall_shelf, 1)],
    "towel": [(bathroom.towel_rail, 1)],
    "clothes": [(fixtures.clothes, 1)],
    "whiteboard": [(clutter.whiteboard, 1)],
    "notice_board": [(fixtures.notice_board, 1)],
    "blackboard": [(fixtures.blackboard, 1)],
    "projector_screen": [(fixtures.projector_screen, 1)],
    "wall_tv": [(fixtures.television_wall, 1)],
    "air_conditioner": [(fixtures.air_conditioner, 1)],
    "socket": [(fixtures.socket, 1)],
    "switch": [(fixtures.switch, 1)],
    "ceiling_lamp": [(clutter.ceiling_lamp, 1)],
}
_FLAT = {
    "table", "coffee_table", "side_table", "desk", "dresser", "night_stand", "cabinet", "tv_stand", "counter",
    "shelves", "piano", "refrigerator", "island", "stool", "bench",
}  # fmt: skip
_STANDING = {"basin", "toilet", "vanity", "cabinet", "shelves", "bookshelf"}  # what the catalogue may hang at a wall


class Stock:
    """Items by role: from `catalogue` with a probability up to `share`, where it has the role, else from the makers."""

    def __init__(self, catalogue: Catalogue | None = None, share: float = 0.7) -> None:
        self.catalogue = catalogue
        self.share = share
        self.broken: set[str] = set()  # ids of models that could not be read

    def has(self, role: str) -> bool:
        """Whether there is anything of that role."""
        return role in MAKERS or (self.catalogue is not None and len(self.catalogue.of(role)) > 0)

    def item(self, rng: Rng, role: str) -> Item:
        """Draw one item; the number of draws from `rng` depends on the stock. Raises KeyError for an unknown role."""
        models = self.catalogue.of(role) if self.catalogue is not None else ()
        # A role with few models leaves more to the makers, or every other shelf would be the same one.
        share = self.share * len(models) / (len(models) + 2)
        if self.catalogue is not None and models and (role not in MAKERS or rng.random() < share):
            item = self._modelled(self.catalogue, role, models, int(rng.integers(len(models))))
            if item is not None:
                return item
        return self.made(rng, role)

    def _modelled(self, catalogue: Catalogue, role: str, models: Sequence[Model], first: int) -> Item | None:
        """Model `first`, or the next one that is not broken; None when all are and a maker can step in."""
        for k in range(len(models)):
            model = models[(first + k) % len(models)]
            try:
                item = catalogue.item(model)
            except UserError as error:
                if model.id not in self.broken:
                    print(f"left out: {error}", file=sys.stderr)
                self.broken.add(model.id)
                continue
            if role in _FLAT and not item.tops:
                item = replace(item, tops=flat_top(item))
            return _lifted(item, model.elevation) if role in _STANDING and model.elevation > 0.05 else item
        if role not in MAKERS:
            raise UserError(f"every catalogue model of role {role} is broken; render with --furniture none")
        return None

    def made(self, rng: Rng, role: str) -> Item:
        """Draw one item from the makers: for light that shines, which the catalogue's lamps do not know."""
        makers = MAKERS[role]
        weights = np.array([weight for _, weight in makers], dtype=np.float64)
        return makers[int(rng.choice(len(makers), p=weights / weights.sum()))][0](rng)


def _lifted(item: Item, z: float) -> Item:
    """The same item hung z metres above the floor; its box still reaches down to it."""
    w, d, h = item.size
    tops = [replace(top, z=top.z + z) for top in item.tops]
    return Item((w, d, h + z), move(item.parts, 0.0, (0.0, 0.0, z)), tops, item.front)
