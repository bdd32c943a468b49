"""Features are computed once, file by file, and read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toy_transfer import write_toy_classes
from umadapt.downstream import features
from umadapt.downstream.features import Features
from umadapt.downstream.photos import Photos, Reader, open_split
from umadapt.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Photos:
    """Twelve, in files of five."""
    monkeypatch.setattr(features, "ROWS", 5)
    return open_split(write_toy_classes(tmp_path / "set", each=4), "train")


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    return images.mean((2, 3))


def computed(folder: Path, photos: Photos, seen: list[int]) -> Features:
    found = Features(folder, "train", photos)

    def pooled(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return mean_colour(images)

    found.compute(pooled, 32, CPU, Reader())
    return found


def test_only_what_is_missing_is_computed(photos: Photos, tmp_path: Path) -> None:
    seen: list[int] = []
    first = computed(tmp_path / "f", photos, seen)
    assert seen == [5, 5, 2]
    (tmp_path / "f" / "train-00001.npy").unlink()
    again = computed(tmp_path / "f", photos, seen)
    assert seen == [5, 5, 2, 5], "what was stopped goes on with the files that are not there"
    every = np.arange(12)
    x = again.take(every)
    assert torch.equal(x, first.take(every))
    for row, label in zip(x, photos.labels, strict=True):
        assert photos.classes[label] == ("red", "green", "blue")[int(row.argmax())]
    mean, std = again.moments(every)
    torch.testing.assert_close(mean, x.mean(0))
    torch.testing.assert_close(std, x.std(0, correction=0))
    assert torch.equal(again.take(np.array([7, 2])), x[[7, 2]])


def test_damaged_photos_and_files(photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos.root / photos.names[6]).write_bytes(b"no picture")
    found = computed(tmp_path / "f", photos, [])
    assert found.readable().tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert capsys.readouterr().err.count("left out") == 1
    (tmp_path / "f" / "train-00002.npy").write_bytes(b"no array")
    with pytest.raises(UserError, match=r"train-00002\.npy is damaged .* delete it"):
        computed(tmp_path / "f", photos, [])
    np.save(tmp_path / "f" / "train-00002.npy", np.zeros((3, 3), np.float16))
    with pytest.raises(UserError, match="has 3 rows, expected 2; delete it"):
        computed(tmp_path / "f", photos, [])


def test_features_that_half_precision_cannot_hold(photos: Photos, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="features beyond 65504"):
        Features(tmp_path / "f", "train", photos).compute(lambda x: mean_colour(x) * 1e6, 32, CPU, Reader())
