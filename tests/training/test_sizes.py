"""Sizes that a network cannot take are refused in a sentence, before anything is written."""

from __future__ import annotations

import pytest
import torch

from toys import tiny_spec
from umadapt.cli import main
from umadapt.errors import UserError
from umadapt.methods.adabn import reestimate
from umadapt.nets.model import UMAdapt
from umadapt.training.sizes import check_batch, check_size, smallest_part


def everything(model: UMAdapt) -> list[torch.nn.Module]:
    return [model]


@pytest.mark.parametrize(
    ("batch", "micro", "smallest"), [(16, 0, 16), (1, 0, 1), (5, 4, 1), (8, 4, 4), (6, 1, 1), (3, 8, 3), (7, 5, 2)]
)
def test_the_smallest_part_of_a_batch(batch, micro, smallest):
    assert smallest_part(batch, micro) == smallest


def test_one_value_a_channel_is_refused_before_the_run_folder_is_made(toy_world, tmp_path, capsys):
    command = ["train", "--source", str(toy_world), "--out", str(tmp_path / "run"), "--backbone", "test_resnet"]
    command += ["--weights", "none", "--size", "32x32", "--width", "0.03", "--device", "cpu"]
    for batch, said in (
        (["--batch", "1"], "--batch 1 puts 1 image of 32x32 through test_resnet"),
        (["--batch", "5", "--micro-batch", "4"], "--micro-batch 4 of --batch 5 puts 1 image"),
        (["--batch", "4", "--micro-batch", "1"], "--micro-batch 1 of --batch 4 puts 1 image"),
    ):
        assert main([*command, *batch]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("spec", [{}, {"decoder": "skip"}], ids=["fcrn", "skip"])
def test_what_can_be_trained_is_not_refused(spec):
    small, large = UMAdapt(tiny_spec(size=(32, 32), **spec)), UMAdapt(tiny_spec(size=(32, 64), **spec))
    with pytest.raises(UserError, match="one value a channel"):
        check_batch(small, 1, 0, everything)
    check_batch(small, 2, 0, everything)
    check_batch(large, 1, 0, everything)
    check_batch(small, 1, 0, lambda model: [model.transfers])  # the stage that trains no other
    check_batch(small, 1, 0, lambda model: [], "target")  # BatchNorm is frozen
    with pytest.raises(UserError, match="one value a channel"):
        check_batch(small, 1, 0, lambda model: list(model.target()), "target")
    assert set(small.encoder.trunks) == {"source"}  # the model itself is as it was
    assert small.training


def test_attention_by_pooled_channels_takes_no_single_image_of_any_size():
    model = UMAdapt(tiny_spec(backbone="skresnet18", size=(64, 96)))
    with pytest.raises(UserError, match="--batch 1 puts 1 image of 64x96 through skresnet18"):
        check_batch(model, 1, 0, everything)
    check_batch(model, 2, 0, everything)


def test_a_size_that_a_backbone_does_not_take_is_named():
    model = UMAdapt(tiny_spec(size=(64, 96)))

    def refuse(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if inputs[0].shape[-1] % 64:
            raise AssertionError("width must be a multiple of 64")

    model.encoder.trunks["source"].register_forward_pre_hook(refuse)
    with pytest.raises(UserError, match=r"--size 64x96: test_resnet does not take.*multiple of 64.*such as 64x96"):
        check_size(model)


def test_a_last_photo_alone_is_passed_over():
    model = UMAdapt(tiny_spec(size=(32, 32)))
    model.encoder.add_target()
    photos = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model.freeze(model)
    reestimate(model, [photos[:4], photos[4:]], "encoder")
    found = {name: x.clone() for name, x in model.encoder.branches["target"].named_buffers()}
    reestimate(model, [photos[:4]], "encoder")
    for name, x in model.encoder.branches["target"].named_buffers():
        if x.is_floating_point():
            torch.testing.assert_close(found[name], x)
    with pytest.raises(UserError, match="no two photos are seen at one size"):
        reestimate(model, [photos[4:]], "encoder")
