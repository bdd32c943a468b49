"""Exported files: equal to PyTorch, complete, read without torch, and refused where they are not ours."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from PIL import Image
from timm.layers import Conv2dSame

import umadapt
from toy_runs import make_run
from toys import CLASSES
from umadapt.cli import main
from umadapt.commands.export import compare, difference, made_photo
from umadapt.data.augment import fit_size
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.inference.export_graph import FIT, pad_same
from umadapt.inference.exported import FORMAT, KEY, load_onnx, parse_about
from umadapt.inference.portable import CLASSES as AT_ONCE
from umadapt.inference.portable import largest_class
from umadapt.inference.predictor import Predictor
from umadapt.tasks.resize import resize_labels
from umadapt.training.load import load_model
from umadapt.training.weights import weights

WITHOUT_TORCH = """
import sys
import zipfile
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError(name + " is refused here")
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, Path]:
    """A tiny adapted run with edges, and its ONNX file, by the command line."""
    root = tmp_path_factory.mktemp("export")
    graph = {"seg": ("depth", "normals"), "edges": ("depth",), "normals": ("depth",)}
    known = {"graph": graph, "geometry": ("normals",), "focal": 80.0}
    model = make_run(root / "run", "noadv", tasks=("depth", "normals", "seg", "edges"), **known)
    with torch.no_grad():  # surfaces face the camera: random normals cancel where they meet, which no network's do
        dict(model.named_parameters())["decoders.normals.head.bias"][2] = 0.3
    safetensors.torch.save_file(weights(model), root / "run" / "model.safetensors")
    assert main(["export", str(root / "run"), "--json", str(root / "export.json")]) == 0
    return root / "run", root / "run" / "model.onnx"


@pytest.mark.parametrize("size", [(480, 640), (228, 304), (700, 1000), (97, 61), (40, 300), (31, 1)])
def test_maps_are_pytorchs(exported, size):
    run, file = exported
    photo = made_photo(*size)
    right, ours = umadapt.load(run, "cpu").predict(photo), umadapt.load(file, "cpu").predict(photo)
    assert set(ours) == {"depth", "normals", "seg", "edges", "trust"}
    assert set(ours["trust"]) == {"seg", "edges", "normals"}
    for name in ("depth", "normals", "edges"):
        assert ours[name].dtype == right[name].dtype
        np.testing.assert_allclose(ours[name], right[name], rtol=0, atol=1e-4)
    assert (ours["seg"] == right["seg"]).mean() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(ours["normals"], axis=-1), 1, rtol=0, atol=1e-4)
    for name in right["trust"]:
        np.testing.assert_allclose(ours["trust"][name], right["trust"][name], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(480, 640), (228, 304), (97, 61), (40, 300)])
def test_large_photos_are_pytorchs(exported, size):
    """What is done beyond a limit, at sizes below it; and an image that is given is what the network sees."""
    run, file = exported
    photo = made_photo(*size)
    right, ours = umadapt.load(run, "cpu").predict(photo), load_onnx(file, "cpu", large=0).predict(photo)
    for name in ("depth", "normals", "edges"):
        np.testing.assert_allclose(ours[name], right[name], rtol=0, atol=1e-4)
    assert (ours["seg"] == right["seg"]).mean() > 0.9999
    for name in right["trust"]:
        np.testing.assert_allclose(ours["trust"][name], right["trust"][name], rtol=0, atol=1e-4)


def test_a_network_with_skips_at_a_size_that_32_does_not_divide(tmp_path, capsys):
    make_run(tmp_path / "run", "noadv", decoder="skip", width=0.2, size=(72, 104), backbone="mobilenetv2_050")
    assert main(["export", str(tmp_path / "run")]) == 0  # compares, and refuses what differs
    assert "72x104" in capsys.readouterr().out
    photo = made_photo(90, 130)  # of the network's aspect, so that it is seen at 72x104
    files = (tmp_path / "run", tmp_path / "run" / "model.onnx")
    right, ours = (umadapt.load(file, "cpu").predict(photo) for file in files)
    np.testing.assert_allclose(ours["depth"], right["depth"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(ours["trust"]["seg"], right["trust"]["seg"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_the_focal_length_is_an_input(tmp_path, suffix):
    make_run(tmp_path / "run", "noadv", focal=70.0)
    kind = "onnx" if suffix == ".onnx" else "torch"
    assert main(["export", str(tmp_path / "run"), "--format", kind]) == 0
    right, ours = (umadapt.load(tmp_path / "run" / name, "cpu") for name in ("", f"model{suffix}"))
    assert ours.fov == right.fov
    for size in ((64, 96), (120, 90)):
        for focal in (None, 50.0, 200.0):
            theirs, found = (predictor.predict(made_photo(*size), focal=focal) for predictor in (right, ours))
            np.testing.assert_allclose(found["depth"], theirs["depth"], rtol=1e-4)
            np.testing.assert_allclose(found["normals"], theirs["normals"], rtol=0, atol=1e-3)


def test_a_batch_is_its_photos(exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported[1]), providers=["CPUExecutionProvider"])
    photos = np.stack([made_photo(60, 90), made_photo(60, 90)[::-1]])
    names = [output.name for output in session.get_outputs()]
    together = {n: np.asarray(m) for n, m in zip(names, session.run(None, {"photo": photos}), strict=True)}
    for i, photo in enumerate(photos):
        alone = load_onnx(exported[1], "cpu").predict(photo)
        np.testing.assert_allclose(together["depth"][i], alone["depth"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(together["trust_seg"][i], alone["trust"]["seg"], rtol=0, atol=1e-5)
    shapes = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in _graph(exported[1]).output]
    assert shapes[0] == ["batch", "height", "width"]


def _graph(file: Path) -> onnx.GraphProto:
    return onnx.load(file).graph


def test_the_size_is_chosen_as_everywhere():
    """The text in front of the network against `fit_size`, at hundreds of sizes, on both sides of 5 %."""
    import math

    import onnxruntime

    rng = np.random.default_rng(0)
    sizes = [(int(h), int(w)) for h, w in rng.integers(1, 2000, (150, 2))]
    sizes += [(int(h), round(h * 4 / 3 * factor)) for h in range(100, 1000, 29) for factor in (1.04, 1.05, 1.06, 0.953)]
    for net in ((228, 304), (120, 160), (192, 640)):
        graph = onnx.parser.parse_graph(FIT.format(height=net[0], width=net[1], close=math.log(1.05)))
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        for h, w in sizes:
            photo = np.empty((1, h, w, 3), np.uint8)  # its size alone is read
            height, width, rows, columns = (int(np.asarray(x)) for x in session.run(None, {"photo": photo}))
            assert (height, width) == fit_size((h, w), net)
            assert (rows, columns) == (math.ceil(height / 32), math.ceil(width / 32))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (7, 2), (1, 2)])
def test_same_padding_at_odd_and_even_sizes(kernel, stride):
    """A convolution of timm that pads by the size of its input, against the graph's attribute."""
    import onnxruntime

    layer = Conv2dSame(4, 5, kernel, stride=stride, bias=True)
    tensors = {f"layer.{name}": parameter for name, parameter in layer.named_parameters()}
    node = onnx.helper.make_node("Conv", ["x", *tensors], ["y"], pads=[kernel // 2] * 4, strides=[stride] * 2)
    ends = [onnx.helper.make_tensor_value_info(n, 1, [1, c, None, None]) for n, c in (("x", 4), ("y", 5))]
    stored = [onnx.numpy_helper.from_array(t.detach().numpy(), n) for n, t in tensors.items()]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], stored)
    pad_same(graph, {"layer.weight"})
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in ((15, 20), (8, 15), (7, 7), (16, 16)):
        x = torch.randn(1, 4, *size, generator=torch.Generator().manual_seed(0))
        assert np.asarray(session.run(None, {"x": x.numpy()})[0]) == pytest.approx(layer(x).detach().numpy(), abs=1e-5)
    with pytest.raises(UserError, match="renamed the weights of 1 layers"):
        pad_same(graph, {"other.weight"})


def test_the_file_says_what_it_is(exported):
    run, file = exported
    stored = onnx.load(file)
    about = json.loads({p.key: p.value for p in stored.metadata_props}[KEY])
    assert about["classes"] == list(CLASSES)
    assert len(about["palette"]) == len(CLASSES)
    assert about["units"]["depth"] == "m"
    assert about["size"] == [64, 96]
    assert about["packages"]["exported"]["torch"] == importlib.metadata.version("torch")
    assert set(about["git"]) == {"trained", "exported"}
    assert set(about["compared"]) == {"480x640", "228x304", "700x1000", "64x96"}
    assert "whole photo" in about["protocol"]["photo"]
    assert b"/tests/" not in file.read_bytes()
    assert str(Path(umadapt.__file__).parent).encode() not in file.read_bytes()
    names = {t.name for t in stored.graph.initializer}
    assert not [name for name in names if "contour" in name or ".source." in name]  # what predicting does not need
    report = json.loads((run.parent / "export.json").read_text())
    assert report["compared"]["480x640"]["depth"]["largest"] < 1e-4
    assert set(report["compared"]["480x640"]["seg"]) == {"share"}  # between ids there is no more or less
    assert report["int8"] is None


def test_predict_needs_no_torch(exported, tmp_path):
    """The command, with everything refused that only the run folder needs; the folder is the one that RUN gives."""
    run, file = exported
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(made_photo(60, 90)).save(tmp_path / "in" / "turned.jpg", exif=exif)
    write_image(tmp_path / "in" / "plain.png", made_photo(120, 100))
    arguments = ["--out", "ours", "--device", "cpu"]
    refused = {"torch", "torchvision", "timm", "safetensors", "tensorboard", "fsspec", "onnx", "onnxscript"}
    code = WITHOUT_TORCH.format(refused=refused) + (
        f"from umadapt.cli import main; sys.exit(main(['predict', {str(file)!r}, 'in', *{arguments!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    assert main(["predict", str(run), str(tmp_path / "in"), "--out", str(tmp_path / "ours2"), "--device", "cpu"]) == 0

    def files(root: Path) -> set[Path]:
        return {path.relative_to(root) for path in root.rglob("*") if path.is_file()}

    ours, right = tmp_path / "ours", tmp_path / "ours2"
    assert files(ours) == files(right)
    described = [json.loads((root / "dataset.json").read_text()) for root in (ours, right)]
    assert described[0] | {"name": ""} == described[1] | {"name": ""}
    for name in files(right):
        if name.suffix == ".npy":
            one, two = np.load(ours / name), np.load(right / name)
            assert one.dtype == two.dtype
            assert (np.abs(one.astype(float) - two) <= 1e-3).mean() > 0.9999
    assert Folder(ours).read_depth("turned").shape == (90, 60)  # type: ignore[union-attr]


def test_the_library_needs_onnxruntime_numpy_and_pillow_alone(exported):
    refused = {"torch", "torchvision", "timm", "tyro", "tqdm", "fsspec", "safetensors", "onnx"}
    code = WITHOUT_TORCH.format(refused=refused) + (
        "import numpy, umadapt\n"
        f"found = umadapt.load({str(exported[1])!r}, 'cpu').predict(numpy.zeros((50, 70, 3), numpy.uint8))\n"
        "assert found['depth'].shape == (50, 70)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)


def test_files_that_are_none_of_ours_are_named(exported, tmp_path, capsys):
    def said(file: Path) -> str:
        assert main(["predict", str(file), "x.jpg", "--out", str(tmp_path / "out")]) == 2
        return capsys.readouterr().err

    write_image(tmp_path / "x.jpg", made_photo(40, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert "no such file" in said(tmp_path / "none.onnx")
        (tmp_path / "text.onnx").write_text("hello")
        assert "cannot read it" in said(tmp_path / "text.onnx")
        (tmp_path / "text.bin").write_text("hello")
        assert "expected a run folder" in said(tmp_path / "text.bin")
        model = onnx.load(exported[1])
        model.opset_import[0].version = 99
        onnx.save(model, tmp_path / "newer.onnx")
        assert "update onnxruntime" in said(tmp_path / "newer.onnx")
        model = onnx.load(exported[1])
        del model.metadata_props[:]
        onnx.save(model, tmp_path / "foreign.onnx")
        assert "was not written by umadapt export" in said(tmp_path / "foreign.onnx")
        onnx.helper.set_model_props(model, {KEY: json.dumps({"format": 99})})
        onnx.save(model, tmp_path / "format.onnx")
        assert "format 99" in said(tmp_path / "format.onnx")
        patch.setitem(sys.modules, "onnxruntime", None)
        assert "pip install onnxruntime" in said(exported[1])


def test_a_mismatch_is_refused(exported):
    run, file = exported
    right, ours = umadapt.load(run, "cpu"), umadapt.load(file, "cpu")

    def wrong(photo: np.ndarray, focal: float | None) -> dict:
        found = ours.infer(photo, focal)
        return found | {"depth": found["depth"] + np.float32(2e-3)}

    compare(right, ours, ((64, 96),))
    with pytest.raises(UserError, match="exported depth differs from PyTorch's on 100"):
        compare(right, Predictor(ours.maps, ours.trust, wrong), ((64, 96),))
    ids = np.zeros((10, 10), np.uint8)
    assert difference(ids, ids)["share"] == 0
    assert difference(ids, ids + np.uint8(1))["share"] == 1


def test_mistakes_are_refused_first(exported, tmp_path, capsys):
    run = str(exported[0])
    for arguments, said in (
        (["--int8"], "--int8 needs photos"),
        (["--photos", "x"], "--photos and --data are for --int8"),
        (["--out", "x.pt"], "ends in .onnx"),
    ):
        assert main(["export", run, *arguments]) == 2
        assert said in capsys.readouterr().err


def test_a_missing_package_is_named(exported, capsys, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "onnx" else there(name, *more))
    assert main(["export", str(exported[0])]) == 2
    assert "export needs onnx; type: pip install onnx" in capsys.readouterr().err


def test_the_largest_class_in_parts_is_that_of_the_whole():
    logits = torch.randn(1, 2 * AT_ONCE + 3, 8, 12, generator=torch.Generator().manual_seed(0))
    for size in ((50, 70), (5, 7), (8, 12)):
        assert torch.equal(largest_class(logits, size)[0].long(), resize_labels(logits[0], size))


def test_eight_bits_cost_what_they_cost(exported, toy_world, tmp_path):
    """The cost is that of the file that is written, on photos that did not set its ranges."""
    from umadapt.commands.export_int8 import change, quantise
    from umadapt.config import Export

    run, file = exported
    graph, cost = quantise(_copy(file, tmp_path), Export(run, int8=True, photos=str(toy_world)))
    assert cost["against"] == "fp32 maps"
    assert cost["calibrated_on"] == cost["measured_on"] == 6
    onnx.helper.set_model_props(graph, {p.key: p.value for p in onnx.load(file).metadata_props})
    onnx.save(graph, tmp_path / "small.onnx")
    folder = Folder(toy_world)
    again = change(load_onnx(file, "cpu"), load_onnx(tmp_path / "small.onnx", "cpu"), folder, folder.ids[1::2])
    assert again == pytest.approx(cost["change"])
    assert 0 < cost["change"]["depth"] < 0.2
    assert 0 < cost["change"]["normals"] < 30
    assert (tmp_path / "small.onnx").stat().st_size < file.stat().st_size
    _, cost = quantise(_copy(file, tmp_path), Export(run, int8=True, data=str(toy_world)))
    assert cost["against"] == "labels"
    model, stored = load_model(run, "cpu")
    from umadapt.evaluation.evaluate import evaluate

    torchs = evaluate(model, stored.domain, folder, "raw", ids=folder.ids[1::2])
    assert cost["fp32"]["depth"]["rel"] == pytest.approx(torchs["depth"]["rel"], rel=1e-4)
    assert cost["int8"]["depth"]["rel"] != cost["fp32"]["depth"]["rel"]


def _copy(file: Path, folder: Path) -> Path:
    target = folder / "plain.onnx"
    target.write_bytes(file.read_bytes())
    return target


@pytest.fixture(scope="module")
def programs(exported) -> Path:
    """The same run as programs of torch.export; its own size is no multiple of 32."""
    run = exported[0]
    assert main(["export", str(run), "--format", "torch"]) == 0
    return run / "model.pt2"


@pytest.mark.parametrize("size", [(480, 640), (228, 304), (700, 1000), (97, 61), (40, 300), (20, 900), (31, 1)])
def test_programs_are_pytorch(exported, programs, size):
    photo = made_photo(*size)
    right, ours = umadapt.load(exported[0], "cpu").predict(photo), umadapt.load(programs, "cpu").predict(photo)
    assert set(ours) == set(right)
    for name in ("depth", "normals", "edges"):
        assert ours[name].dtype == right[name].dtype
        np.testing.assert_allclose(ours[name], right[name], rtol=0, atol=1e-4)
    assert (ours["seg"] == right["seg"]).mean() > 0.9999
    for name in right["trust"]:
        np.testing.assert_allclose(ours["trust"][name], right["trust"][name], rtol=0, atol=1e-4)


def test_programs_need_torch_alone(programs):
    """As docs/export.md says to read them."""
    code = (
        WITHOUT_TORCH.format(refused={"umadapt", "timm"})
        + f"import io, zipfile, torch\nany = io.BytesIO(zipfile.ZipFile({str(programs)!r}).read('any.pt2'))\n"
        "network = torch.export.load(any).module(check_guards=False)\n"
        "maps = network(torch.zeros(3, 60, 90, 3, dtype=torch.uint8), torch.tensor(0.0), 1, 2)\n"
        "assert maps['depth'].shape == (3, 60, 90)"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_programs_that_are_none_of_ours_are_named(programs, tmp_path, capsys):
    write_image(tmp_path / "photos" / "a.png", made_photo(40, 60))
    (tmp_path / "cut.pt2").write_bytes(programs.read_bytes()[:5000])
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("data", b"")
    for name, message in (("cut.pt2", "damaged"), ("other.pt2", "not written by umadapt"), ("no.pt2", "no such file")):
        assert main(["predict", str(tmp_path / name), str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert name in error


@pytest.mark.parametrize(
    "change", [{"fov": "wide"}, {"trust": {"depth": {"white": 0}}}, {"maps": {"depth": "smell"}}, {"tasks": 3}]
)
def test_metadata_are_held_to_their_schema(change: dict, tmp_path: Path) -> None:
    tasks = {"depth": {"scale_m": 0.001}}
    right = {"format": FORMAT, "maps": {"depth": "depth"}, "tasks": tasks, "trust": {}, "fov": 60}
    assert parse_about(tmp_path / "m.onnx", json.dumps(right)) == right
    with pytest.raises(UserError, match=r"m\.onnx is damaged: its metadata cannot be read .*export it again"):
        parse_about(tmp_path / "m.onnx", json.dumps(right | change))
