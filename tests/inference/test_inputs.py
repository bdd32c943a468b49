"""Photos as users have them: every kind gives the same pixels, and what is no photo is refused in a sentence."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import umadapt
from toy_runs import make_run
from umadapt.cli import main
from umadapt.errors import UserError
from umadapt.inference.inputs import open_photo
from umadapt.inference.predictor import Predictor

RGB = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
GREY = RGB[..., 0]
ALPHA = np.concatenate([RGB, GREY[..., None]], axis=2)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def kinds(array: np.ndarray) -> dict[str, Any]:
    """A photo (H, W, C) or (H, W) of bytes in every form that is taken."""
    planes = array if array.ndim == 3 else array[..., None]
    first = np.ascontiguousarray(np.moveaxis(planes, 2, 0))
    wide = array.astype(np.uint16) * 257
    return {
        "bytes": encoded(Image.fromarray(array)),
        "bytearray": bytearray(encoded(Image.fromarray(array))),
        "PIL": Image.fromarray(array),
        "uint8": array,
        "channels": planes,
        "strided": np.flip(np.flip(array, 0).copy(), 0),
        "read-only": np.frombuffer(array.tobytes(), np.uint8).reshape(array.shape),
        "uint16": wide,
        "big-endian": wide.astype(">u2"),
        "float32": (array / 255).astype(np.float32),
        "float64": array / 255,
        "float16": (array / 255).astype(np.float16),
        "channels first": first,
        "tensor HWC": torch.from_numpy(array.copy()),
        "tensor CHW": torch.from_numpy(first),
        "tensor float": torch.from_numpy(first / 255),
        "tensor bfloat16": torch.from_numpy(array / 255).to(torch.bfloat16),
        "tensor with gradients": torch.from_numpy(first / 255).requires_grad_(),
        "a part of a tensor": torch.from_numpy(np.stack([first, first]))[1],
    }


@pytest.mark.parametrize("array", [RGB, GREY, ALPHA], ids=["RGB", "grey", "RGBA"])
def test_every_kind_is_the_same_photo(tmp_path, array):
    path = tmp_path / "photo.png"
    Image.fromarray(array).save(path)
    right = open_photo(path).rgb
    assert right.shape == (40, 60, 3)
    for name, photo in {"str": str(path), **kinds(array)}.items():
        found = open_photo(photo).rgb
        assert found.dtype == np.uint8, name
        apart = np.abs(found.astype(int) - right)
        assert apart.max() <= (1 if "16" in name and "float" in name else 0), name  # half precision has 8 or 11 bits


@pytest.fixture(scope="module")
def predictors(tmp_path_factory) -> tuple[Predictor, Predictor]:
    """A tiny run, and its ONNX file."""
    run = tmp_path_factory.mktemp("runs") / "run"
    make_run(run, "noadv", focal=70.0)
    assert main(["export", str(run)]) == 0
    return umadapt.load(run, "cpu"), umadapt.load(run / "model.onnx", "cpu")


@pytest.mark.parametrize("which", [0, 1], ids=["run", "exported"])
def test_every_kind_gives_the_same_maps(predictors, which):
    model = predictors[which]
    right = model.predict(RGB)
    for name, photo in kinds(RGB).items():
        if "16" not in name or "uint" in name:
            found = model.predict(photo)
            for task in ("depth", "normals", "seg"):
                np.testing.assert_array_equal(found[task], right[task], err_msg=name)


def test_a_picture_tells_its_camera_and_its_side_whatever_holds_it(tmp_path, predictors):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 90
    data = encoded(Image.fromarray(RGB), "JPEG", exif=exif)
    (tmp_path / "phone.jpg").write_bytes(data)
    right = predictors[0].predict(tmp_path / "phone.jpg")
    assert right["depth"].shape == (60, 40)
    assert not np.array_equal(right["depth"], predictors[0].predict(open_photo(data).rgb)["depth"])  # without camera
    for photo in (data, Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(predictors[0].predict(photo)["depth"], right["depth"])


BAD: dict[str, tuple[Any, str]] = {
    "float beyond 1": (RGB.astype(np.float32), "from 0 to 255, not from 0 to 1; divide by 255"),
    "standardised": (RGB / 128 - 1, "from -1 to"),
    "NaN": (np.where(GREY > 9, np.nan, 0.5), "with NaN"),
    "infinity": (np.full((8, 8), np.inf), "not from 0 to 1"),
    "complex": (RGB.astype(np.complex64), "complex64"),
    "bool": (GREY > 9, "array of bool"),
    "int64": (RGB.astype(np.int64), r"int64 \(40, 60, 3\); give .astype"),
    "uint32": (RGB.astype(np.uint32), "uint32"),
    "object": (np.array([[None, 1], [2, 3]], object), "object"),
    "text": (np.array([["a"]]), "<U1"),
    "empty": (np.zeros((0, 5, 3), np.uint8), "no pixels"),
    "no channels": (np.zeros((5, 5, 0), np.uint8), "no pixels"),
    "one number": (np.uint8(3), "0 dimensions|uint8"),
    "a row": (RGB[0, :, 0], "1 dimensions"),
    "a batch": (RGB[None], r"4 dimensions; of a batch give one photo, such as x\[0\]"),
    "two channels": (RGB[..., :2], "no dimension of 1"),
    "five channels": (np.zeros((9, 9, 5), np.uint8), "no dimension of 1"),
    "either way": (torch.zeros(3, 7, 3), "first or the last"),
    "empty tensor": (torch.zeros(3, 0, 9), "no pixels"),
    "tensor batch": (torch.zeros(1, 3, 8, 8), "4 dimensions"),
    "integer tensor": (torch.zeros(8, 8, dtype=torch.int64), "int64"),
    "sparse": (torch.eye(9).to_sparse(), "no plain picture"),
    "meta": (torch.zeros(9, 9, device="meta"), "no plain picture"),
    "None": (None, "found None"),
    "a list": ([RGB], "found a list of 1; predict takes one photo at a time"),
    "a number": (3.5, "of type float"),
    "no picture": (b"hello", "photo given as 5 bytes"),
    "no bytes": (b"", "photo given as 0 bytes"),
    "no file": ("nowhere/photo.jpg", "nowhere/photo.jpg: no such file"),
    "a folder": (Path(__file__).parent, "cannot be read"),
    "empty PIL": (Image.new("RGB", (0, 4)), "no pixels"),
    "PIL of bytes in 32 bits": (Image.fromarray(GREY).convert("I"), r'convert\("L"\)'),
    "PIL with NaN": (Image.fromarray(np.full((4, 4), np.nan, np.float32)), "NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_photo_is_refused(name):
    photo, message = BAD[name]
    with pytest.raises(UserError, match=message):
        open_photo(photo)


@pytest.mark.parametrize("focal", [0, -3.0, float("nan"), float("inf"), "wide", np.zeros(2)])
def test_a_focal_length_is_above_0(predictors, focal):
    with pytest.raises(UserError, match="expected the focal length in pixels"):
        predictors[0].predict(RGB, focal=focal)


@pytest.mark.parametrize("model", [None, 3, RGB])
def test_what_is_loaded_is_a_name(model):
    with pytest.raises(UserError, match="load takes the name of a run folder or of an exported file"):
        umadapt.load(model)
