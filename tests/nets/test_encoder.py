from __future__ import annotations

import pytest
import timm
import torch

from umadapt.nets.encoder import ALL, STRIDES, Encoder, create_backbone, split

BACKBONES = ["test_resnet", "resnet10t", "mobilenetv3_small_050", "test_convnext", "regnety_002", "efficientnet_b0"]


@pytest.mark.parametrize("name", BACKBONES)
def test_trunk_and_branch_are_timms_own_features(name: str) -> None:
    torch.manual_seed(0)
    net = create_backbone(name).eval()
    trunk, branch, channels = split(net, name, ALL)
    theirs = timm.create_model(name, features_only=True).eval()
    own = net.state_dict()
    dotted = {k: k.replace("stages_", "stages.").replace("stem_", "stem.") for k in theirs.state_dict()}
    tensors = {k: own[k] if k in own else own[other] for k, other in dotted.items()}
    theirs.load_state_dict(tensors)
    x = torch.randn(2, 3, 64, 96)
    reductions = theirs.feature_info.reduction()  # type: ignore[union-attr]
    with torch.no_grad():
        features = dict(zip(reductions, theirs(x), strict=True))
        found = branch(trunk(x))
    assert list(found) == list(ALL)
    for name, stride in STRIDES.items():
        torch.testing.assert_close(found[name], features[stride])
        assert found[name].shape[1] == channels[name]


@pytest.mark.parametrize(("name", "why"), [("vit_tiny_patch16_224", "strides"), ("no_such_net", "cannot make")])
def test_unfit_backbones_are_refused(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Encoder(name)


def test_domains_share_weights_but_not_statistics() -> None:
    net = Encoder("test_resnet")
    net.add_target()
    source, target = net.trunks["source"], net.trunks["target"]
    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert a is b
    for a, b in zip(net.branches["source"].parameters(), net.branches["target"].parameters(), strict=True):
        assert a is not b
        assert torch.equal(a, b)
    net.train()
    before = {k: v.clone() for k, v in source.state_dict().items()}
    net(torch.randn(2, 3, 64, 64), "target")
    for k, v in source.state_dict().items():
        assert torch.equal(v, before[k]), f"source statistics moved with the target's: {k}"
    assert any(not torch.equal(v, before[k]) for k, v in target.state_dict().items())
