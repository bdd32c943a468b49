"""Fixtures that many tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from toys import tiny_spec, write_toy_world
from umadapt.nets.model import UMAdapt

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")
torch.set_num_threads(1)  # two test processes on two cores: more threads only wait for each other


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the user's cache folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tiny() -> UMAdapt:
    torch.manual_seed(0)
    return UMAdapt(tiny_spec())


@pytest.fixture(scope="session")
def toy_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve labelled views of a wall, a floor and a box: enough for every command."""
    root = tmp_path_factory.mktemp("toy") / "world"
    write_toy_world(root, 12, seed=0)
    return root
