"""Photos by class folders: what is read, cropped, drawn and left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_transfer import write_toy_classes
from umadapt.downstream.photos import Draws, Reader, batches_of, centre_crop, open_split, random_crop
from umadapt.errors import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_toy_classes(tmp_path / "set", each=4)


def test_classes_are_those_of_train(root: Path) -> None:
    train = open_split(root, "train")
    assert train.classes == ("blue", "green", "red")
    assert Counter(train.labels) == {0: 4, 1: 4, 2: 4}
    for path in (root / "val" / "blue").iterdir():
        path.unlink()
    (root / "val" / "blue").rmdir()
    val = open_split(root, "val", train.classes)
    assert set(val.labels) == {1, 2}, "numbered as in train, though a class has no photos here"


def test_what_is_wrong_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="has no folder test; expected test/CLASS"):
        open_split(root, "test")
    (root / "val" / "red").rename(root / "val" / "pink")
    with pytest.raises(UserError, match=r"val/pink is a class that train has not"):
        open_split(root, "val", open_split(root, "train").classes)
    (root / "train" / "white").mkdir()
    with pytest.raises(UserError, match=r"train: Found no valid file for the classes white; expected photos"):
        open_split(root, "train")
    (root / "val" / "pink" / "0.jpg").rename(root / "val" / "0.jpg")
    with pytest.raises(UserError, match=r"val/0.jpg has no class; move it to .*val/CLASS/0.jpg"):
        open_split(root, "val")
    (root / "test").mkdir()
    with pytest.raises(UserError, match="Couldn't find any class folder"):
        open_split(root, "test")


def test_a_damaged_photo_is_named_once_and_left_out(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = sorted((root / "train" / "red").iterdir())
    paths[1].write_bytes(b"\xff\xd8\xff rubbish")
    read = Reader()
    for _ in range(2):
        [(places, images)] = batches_of(paths, 32, 8, read, torch.device("cpu"))
        assert places == [0, 2, 3]
        assert images.shape == (3, 3, 32, 32)
    assert capsys.readouterr().err.count("1.jpg") == 1
    draws = Draws(paths, 2, 0, read)
    assert Counter(draws(number)[0] for number in range(8)) == {0: 2, 2: 4, 3: 2}, "the next one takes its place"
    for path in paths:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="none of 4 photos can be read"):
        Draws(paths, 2, 0, Reader())(0)


def test_crops() -> None:
    ramp = torch.arange(60).repeat(40, 1).expand(3, 40, 60).to(torch.uint8)
    crop = centre_crop(ramp, 32)
    assert crop.shape == (3, 32, 32)
    assert 29 <= crop.float().mean() <= 31, "the middle of 0 … 59"
    views = [random_crop(ramp, 16, np.random.default_rng(k)) for k in range(40)]
    assert all(view.shape == (3, 16, 16) for view in views)
    rises = [bool(view[0, 0, -1] > view[0, 0, 0]) for view in views]
    assert 8 < sum(rises) < 32, "some are mirrored"
    torch.testing.assert_close(random_crop(ramp, 16, np.random.default_rng(7)), views[7])
    assert random_crop(ramp[:, :2], 16, np.random.default_rng(0)).shape == (3, 16, 16), "no crop of that aspect fits"
