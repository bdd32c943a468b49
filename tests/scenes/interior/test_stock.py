"""A stock gives catalogue models where there are some, and makers' items otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from umadapt.errors import UserError
from umadapt.scenes.interior.stock import MAKERS, Stock
from umadapt.scenes.shapes import Item, box


@dataclass(frozen=True)
class FakeModel:
    role: str
    elevation: float = 0.0

    @property
    def id(self) -> str:
        return f"Fake#{self.role}-{self.elevation}"


class FakeCatalogue:
    """Two roles, one of which no maker knows."""

    def of(self, role: str) -> tuple[FakeModel, ...]:
        return {
            "basin": (FakeModel("basin", 0.6),),
            "globe": (FakeModel("globe"),),
            "table": (FakeModel("table"),),
        }.get(role, ())

    def item(self, model: FakeModel) -> Item:
        return Item((0.8, 0.6, 0.3), [box((-0.4, -0.3, 0.0), (0.4, 0.3, 0.3), "sink", f"own_{model.role}")])


def materials(item: Item) -> set[str]:
    return {part.material for part in item.parts}


@pytest.mark.parametrize("role", sorted(MAKERS))
def test_every_role_has_items(role: str) -> None:
    for seed in range(3):
        item = Stock().item(np.random.default_rng(seed), role)
        points = np.concatenate([part.vertices for part in item.parts])
        w, d, h = item.size
        assert (np.abs(points) <= np.array([w / 2, d / 2, h]) + 0.005).all()
        assert points[:, 2].min() == pytest.approx(0.0, abs=0.005)
        for top in item.tops:
            assert 0 < top.z <= h + 1e-6
            assert (np.array(top.lo) < top.hi).all()


def test_share_decides_between_catalogue_and_makers() -> None:
    rng = np.random.default_rng(0)
    drawn = [Stock(FakeCatalogue(), 0.7).item(rng, "table") for _ in range(200)]  # pyright: ignore[reportArgumentType]
    share = np.mean([materials(item) == {"own_table"} for item in drawn])
    assert 0.15 < share < 0.32  # 0.7 for many models, a third of it for a single one
    assert all(item.tops for item in drawn)  # also those whose model states none
    assert not any(materials(Stock().item(rng, "table")) == {"own_table"} for _ in range(20))


def test_hung_models_keep_their_height() -> None:
    rng, stock = np.random.default_rng(0), Stock(FakeCatalogue(), 1.0)  # pyright: ignore[reportArgumentType]
    (item, *_) = (item for item in (stock.item(rng, "basin") for _ in range(30)) if materials(item) == {"own_basin"})
    assert item.size[2] == pytest.approx(0.9)
    assert min(part.vertices[:, 2].min() for part in item.parts) == pytest.approx(0.6)


def test_roles_that_only_the_catalogue_has() -> None:
    with_models = Stock(FakeCatalogue(), 0.0)  # pyright: ignore[reportArgumentType]
    assert with_models.has("globe")
    assert materials(with_models.item(np.random.default_rng(0), "globe")) == {"own_globe"}
    assert not Stock().has("globe")
    with pytest.raises(KeyError):
        Stock().item(np.random.default_rng(0), "globe")


class BrokenCatalogue(FakeCatalogue):
    """Its tables and globes cannot be read, its second basin can."""

    def of(self, role: str) -> tuple[FakeModel, ...]:
        return (FakeModel(role), FakeModel(role, 0.6)) if role == "basin" else super().of(role)

    def item(self, model: FakeModel) -> Item:
        if not model.elevation:
            raise UserError(f"furniture.sh3f: {model.id} cannot be read: no vertices")
        return super().item(model)


def test_broken_models_are_left_out_and_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    stock, rng = Stock(BrokenCatalogue(), 1.0), np.random.default_rng(0)  # pyright: ignore[reportArgumentType]
    drawn = [materials(stock.item(rng, "basin")) == {"own_basin"} for _ in range(60)]
    assert 0.3 < np.mean(drawn) < 0.7  # two models: half of them from the catalogue, always the one that works
    assert all(materials(stock.item(rng, "table")) != {"own_table"} for _ in range(20))
    assert capsys.readouterr().err.count("Fake#table-0.0 cannot be read") == 1
    with pytest.raises(UserError, match="every catalogue model of role globe is broken"):
        stock.item(rng, "globe")
