"""Labelled images to rehearse on where a run's own source is not here, as for a model that ships: rooms, rendered once
and kept in the user's cache folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from umadapt.config.data import Render
from umadapt.data.atomic import cache_folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.scenes.classes import NYU40

ROOMS, VIEWS, SIZE, SEED = 40, 4, (240, 320), 7  # about 80 CPU seconds, 20 MB
NEEDED = ("mitsuba", "embreex")


def rendered_rooms(classes: Sequence[str]) -> Path:
    """The folder of the rooms, which are rendered when it is asked for the first time.

    Raises:
        UserError: the renderer is not installed, or has other classes.
    """
    if classes and tuple(classes) != NYU40:
        raise UserError("its labelled source is not known, and rendered rooms have other classes; give --source DATA")
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise UserError(
            "its labelled source is not known, and nothing is installed to render rooms in its place; "
            'give --source DATA, or type: pip install "umadapt[scenes,denoise]"'
        )
    from umadapt.scenes import render

    folder = cache_folder() / "rooms" / f"{render.GENERATOR}"
    done = folder / "complete"
    if not process_group.any_of(done.exists()):
        if not process_group.rank():
            print(f"rendering {ROOMS * VIEWS} views of rooms to rehearse on, once; kept in {folder}", flush=True)
        print(render.render_set(Render(out=folder, rooms=ROOMS, views=VIEWS, size=SIZE, style="photo", seed=SEED)))
        if not process_group.rank():
            done.touch()
    return folder
