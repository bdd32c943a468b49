"""What `render` refuses before it looks for a renderer."""

from __future__ import annotations

from pathlib import Path

import pytest

from umadapt.commands.render import run
from umadapt.config.data import Render
from umadapt.errors import UserError


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="--without names colour; there are textures, light, sensor, poses"):
        run(Render(out, without=("colour",)))
    with pytest.raises(UserError, match="it needs --style photo"):
        run(Render(out, style="synthetic", tone_of="photos"))
    with pytest.raises(UserError, match="expected degrees below 150"):
        run(Render(out, fov=(60, 150)))
    assert not out.exists()
