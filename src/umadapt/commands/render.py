"""`umadapt render`: labelled images of made rooms, in the folder format."""

from __future__ import annotations

from umadapt.config.data import Render
from umadapt.errors import UserError
from umadapt.scenes.render import render_set

LEAVE_OUT = ("textures", "light", "sensor", "poses")


def run(config: Render) -> int:
    """Make or continue a data set. Returns the exit code 0; raises UserError for what the user can mend."""
    refuse(config)
    print(render_set(config))
    return 0


def refuse(config: Render) -> None:
    """Raise a UserError where the arguments do not go together."""
    unknown = sorted(set(config.without) - set(LEAVE_OUT))
    if unknown:
        raise UserError(f"--without names {', '.join(unknown)}; there are {', '.join(LEAVE_OUT)}")
    if config.tone_of and (config.style != "photo" or "sensor" in config.without):
        raise UserError("--tone-of gives a camera the tones of photos; it needs --style photo, with its sensor")
    if config.fov[1] >= 150:
        raise UserError(f"--fov is {config.fov[0]:g}-{config.fov[1]:g}; expected degrees below 150")
