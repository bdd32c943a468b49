"""furniture.tsv: which class and role a catalogue's model has, by its English name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from umadapt.errors import UserError
from umadapt.scenes.classes import ID

# The longest side of what may have a role, in metres: a name alone does not tell a toy from the real thing.
ROLES: dict[str, tuple[float, float]] = {
    "bed": (1.1, 2.7),
    "sofa": (1.0, 3.6),
    "armchair": (0.55, 1.7),
    "chair": (0.35, 1.25),
    "office_chair": (0.7, 1.4),
    "stool": (0.25, 1.2),
    "bench": (0.4, 2.2),
    "table": (0.5, 3.0),
    "coffee_table": (0.4, 1.6),
    "side_table": (0.3, 0.8),
    "desk": (0.8, 2.5),
    "dresser": (0.6, 1.8),
    "night_stand": (0.3, 0.8),
    "wardrobe": (1.2, 2.7),
    "cabinet": (0.4, 3.5),
    "tv_stand": (0.8, 2.6),
    "bookshelf": (0.6, 2.7),
    "shelves": (0.4, 2.7),
    "counter": (0.4, 2.5),
    "refrigerator": (0.8, 2.1),
    "stove": (0.5, 1.3),
    "appliance": (0.5, 1.2),
    "toilet": (0.5, 1.1),
    "basin": (0.3, 2.0),
    "vanity": (0.6, 2.4),
    "bathtub": (1.2, 2.2),
    "shower": (0.7, 2.4),
    "piano": (0.9, 2.2),
    "radiator": (0.3, 2.3),
    "fireplace": (0.7, 2.7),
    "furniture_misc": (0.3, 3.0),
    "vessel": (0.03, 0.6),
    "book": (0.1, 0.6),
    "plant_small": (0.08, 0.75),
    "monitor": (0.25, 1.0),
    "laptop": (0.2, 0.5),
    "keyboard": (0.2, 1.1),
    "table_lamp": (0.15, 0.9),
    "kitchen_top": (0.1, 0.75),
    "toy": (0.04, 0.9),
    "gadget": (0.05, 0.7),
    "bath_small": (0.03, 0.5),
    "tv": (0.4, 1.8),
    "pillow": (0.2, 0.9),
    "bag": (0.15, 1.1),
    "box": (0.15, 1.1),
    "bin": (0.2, 0.9),
    "plant": (0.4, 2.2),
    "floor_toy": (0.15, 1.2),
    "shoes": (0.15, 0.5),
    "person": (0.5, 2.1),
    "floor_lamp": (0.9, 2.2),
    "floor_misc": (0.15, 2.2),
    "rug": (0.4, 4.0),
    "picture": (0.1, 2.0),
    "mirror": (0.2, 2.0),
    "wall_clock": (0.15, 1.0),
    "wall_cabinet": (0.3, 1.6),
    "towel": (0.1, 1.2),
    "clothes": (0.2, 1.6),
    "blinds": (0.4, 2.5),
    "curtain": (0.5, 3.0),
    "whiteboard": (0.5, 2.5),
    "wall_lamp": (0.08, 1.2),
    "wall_misc": (0.05, 1.5),
    "ceiling_lamp": (0.08, 1.8),
    "ceiling_misc": (0.05, 1.2),
}


@dataclass(frozen=True)
class Row:
    """What the table says about a model: class and role ("" = never placed), or why it is left out."""

    label: str = ""
    role: str = ""
    turn_deg: int = 0  # counter-clockwise seen from above; a multiple of 90
    upright: bool = False  # it lies on its back: raise it
    parts: tuple[tuple[str, str], ...] = ()  # (pattern of material names, their class)
    left_out: str = ""

    def label_of(self, material: str) -> str:
        """The class of one of the model's materials."""
        return next((label for pattern, label in self.parts if re.search(pattern, material)), self.label)


def table_text() -> str:
    """The table that comes with the package."""
    return resources.files("umadapt.scenes.sweethome").joinpath("furniture.tsv").read_text(encoding="utf-8")


def read_table(text: str) -> dict[str, Row]:
    """Rows by model id, by category/name and by name. Raises UserError naming the line that cannot be understood."""
    rows: dict[str, Row] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        try:
            names, row = _row(line)
            for name in names:
                if name in rows:
                    raise ValueError(f"{name!r} stands in the table twice")
                rows[name] = row
        except ValueError as error:
            raise UserError(f"furniture.tsv, line {number}: {error}") from error
    return rows


def _row(line: str) -> tuple[list[str], Row]:
    cells = [cell.strip() for cell in line.split("\t")]
    if not 2 <= len(cells) <= 6:
        raise ValueError(f"{len(cells)} cells, expected models, class and perhaps role, turn, parts, remark")
    names = [name.strip() for name in cells[0].split("|")]
    label, role, turn, parts = (cells + [""] * 3)[1:5]
    if label == "-":
        return names, Row(left_out=role or "no reason given")
    pairs = tuple((pattern, cls) for pattern, _, cls in (p.rpartition("=") for p in parts.split(";") if p))
    unknown = [name for name in (label, *(cls for _, cls in pairs)) if name not in ID]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of the classes {', '.join(ID)}")
    if role and role not in ROLES:
        raise ValueError(f"{role!r} is none of the roles {', '.join(ROLES)}")
    if turn not in ("", "90", "180", "270", "up", "up 90", "up 180", "up 270"):
        raise ValueError(f"turn {turn!r}, expected 90, 180 or 270 degrees, up, or up and degrees")
    degrees = turn.removeprefix("up").strip()
    return names, Row(label, role, int(degrees or 0), turn.startswith("up"), pairs)


def look_up(rows: Mapping[str, Row], model_id: str, category: str, name: str) -> Row | None:
    """The most particular row for a model; None for one that the table does not know."""
    return rows.get(model_id) or rows.get(f"{category}/{name}") or rows.get(name)
