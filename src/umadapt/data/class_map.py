"""Classes of one's own: a map from the classes that a data set or a network has to those that are wanted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from umadapt.data import json_schema
from umadapt.data.listing import nearest_name
from umadapt.errors import UserError

Names = dict[str, str | None]  # old class -> new class; None = ignored
IGNORE = "ignore"  # in place of a new class: its pixels are unlabelled, and it is never predicted
OTHERS = "*"  # in place of an old class: all that are not named
UNLABELLED = 255
SHIPPED = {"nyu13": "nyu40_13"}  # name -> data/convert/maps/NAME.csv, whose comment says where it is published
SCHEMA = json_schema.table(json_schema.maybe(json_schema.text()))


class Merging(NamedTuple):
    """How classes become others."""

    classes: tuple[str, ...]  # the new ones
    ids: tuple[int | None, ...]  # of each old class its new id; None = ignored

    def table(self) -> np.ndarray:
        """(256,) uint8: stored id -> new id; what is no class is unlabelled."""
        table = np.full(256, UNLABELLED, np.uint8)
        table[: len(self.ids)] = [UNLABELLED if id is None else id for id in self.ids]
        return table


def read_class_map(given: str) -> Names:
    """A map that ships, by its name, or a JSON file {old class: new class, or "ignore"}; "*" is every other old class.

    Raises:
        UserError: no such file, or not such a map.
    """
    if given in SHIPPED and not Path(given).exists():
        from umadapt.data.convert.base import rows  # which reads folders, as who asks here may

        lines = sorted(rows(SHIPPED[given]), key=lambda row: int(row["id"]))  # so that new ids are the published ones
        return {row["source_name"]: row["name"] for row in lines}
    try:
        found = json.loads(Path(given).read_bytes().decode("utf-8-sig"))
        SCHEMA(found, "")
    except FileNotFoundError as error:
        raise UserError(f"--class-map {given}: no such file; maps that ship: {', '.join(SHIPPED)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f'--class-map {given}: {error}; expected JSON such as {{"sofa": "seat", "chair": "seat", "*": "ignore"}}'
        ) from error
    return {old: None if new in (None, IGNORE) else new for old, new in found.items()}


def merging(names: Names, classes: Sequence[str], whose: object) -> Merging:
    """What a map makes of these classes.

    New ids are in the order in which the map names their classes; old classes that it does not name follow as they are.

    Args:
        whose: classes they are, for messages.

    Raises:
        UserError: the map names a class that is not among them, or ignores all.
    """
    unknown = [name for name in names if name not in classes and name != OTHERS]
    if unknown:
        near = nearest_name(unknown[0], classes)
        meant = f"; is {near!r} meant?" if near else "."
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise UserError(
            f"the class map names {unknown[0]!r}{more}, which {whose} has not{meant} Its classes: {', '.join(classes)}"
        )
    wanted = [names[name] if name in names else names.get(OTHERS, name) for name in classes]
    order = [new for new in dict.fromkeys([*names.values(), *wanted]) if new is not None and new in wanted]
    if not order:
        raise UserError(f"the class map ignores every class of {whose}; name one to keep")
    return Merging(tuple(order), tuple(None if new is None else order.index(new) for new in wanted))


def is_merged(names: Names, classes: Sequence[str]) -> bool:
    """Whether these classes are what a map makes of others: a source that was merged before is left alone."""
    new = {name for name in names.values() if name is not None}
    return bool(classes) and set(classes) <= new and not {name for name in names if name != OTHERS} <= set(classes)
