"""One photo through a network, at its own size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toys import CLASSES
from umadapt.errors import UserError
from umadapt.inference.photos import predict_photo


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


@pytest.mark.parametrize("size", [(64, 96), (97, 61), (10, 15), (300, 40), (500, 700)])
def test_photo_of_any_size(tiny, size):
    found = predict_photo(tiny.eval(), "source", noise(*size, 3))
    assert found["depth"].shape == found["seg"].shape == size
    assert found["depth"].dtype == np.float32
    assert (found["depth"] > 0).all()
    assert found["seg"].dtype == np.uint8
    assert found["seg"].max() < len(CLASSES)
    assert np.linalg.norm(found["normals"], axis=-1) == pytest.approx(1, abs=1e-4)
    assert set(found["trust"]) == {"seg", "depth"}
    for disagreement in found["trust"].values():
        assert disagreement.shape == size
        assert (disagreement >= 0).all()


def test_a_model_that_diverged_is_named(tiny):
    with torch.no_grad():
        next(tiny.decoders["depth"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="depth holds NaN"):
        predict_photo(tiny.eval(), "source", noise(40, 60, 3))
