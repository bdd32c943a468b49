"""Self-training: whose weights and statistics move, what the teacher is."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from toys import random_batch, tiny_spec
from umadapt.config import Adapt
from umadapt.methods import self_training, strong_views
from umadapt.methods.depth_level import Levels, Line
from umadapt.methods.method import Given
from umadapt.methods.rehearsal import rehearse
from umadapt.nets.model import UMAdapt
from umadapt.tasks import TASKS, make_tasks
from umadapt.training.memory import arrange
from umadapt.training.stage import Stage
from umadapt.training.trainer import take
from umadapt.training.weights import load_weights, weights


def make(model: UMAdapt, **changes: Any) -> Stage:
    model.encoder.add_target(share=False)
    options: dict[str, Any] = {"steps": 3, "lr": 1e-2, "method": "self-training", "adapt": "all"} | changes
    config = Adapt(run=Path("r"), target=("t",), out=Path("o"), **options)
    return self_training.stage(
        model, config, lambda k: dataclasses.replace(random_batch(model, 4, k), source=random_batch(model, 4, 50 + k))
    )


def run(model: UMAdapt, stage: Stage, steps: int) -> None:
    model.train()
    optimiser = torch.optim.SGD(stage.turns[0].parameters, lr=1e-2)
    for step in range(steps):
        torch.manual_seed(step)
        take(stage.turns[0], stage.prepare(stage.batch(step)), optimiser, 10.0, step == 0, "test")  # type: ignore[arg-type]
        stage.after(step)


@pytest.fixture(params=["fcrn", "skip"])
def model(request: pytest.FixtureRequest) -> UMAdapt:
    torch.manual_seed(0)
    return UMAdapt(tiny_spec(decoder=request.param, width=0.03 if request.param == "fcrn" else 0.2))


def test_all_of_the_target_moves_and_the_source_encoder_stays(model: UMAdapt) -> None:
    before = {name: x.clone() for name, x in model.state_dict().items()}
    stage = make(model)
    run(model, stage, 2)
    moved = {name for name, x in model.state_dict().items() if name in before and not torch.equal(x, before[name])}
    assert moved
    assert all(name.startswith("decoders.") for name in moved), "M_s, transfer nets and contour decoder stand still"
    source, target = (dict(model.encoder.trunks[domain].named_parameters()) for domain in ("source", "target"))
    still = [name for name in source if torch.equal(target[name], source[name])]
    assert len(still) < 0.2 * len(source), still  # some are behind a ReLU that is shut


def test_statistics_that_train_are_those_of_the_photos(model: UMAdapt) -> None:
    stage = make(model, bn="train")
    batch = stage.prepare(stage.batch(0))
    model.train()
    norm = next(m for m in model.encoder.trunks["target"].modules() if isinstance(m, self_training.BatchNorm))
    assert norm.running_mean is not None
    start = norm.running_mean.clone()
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    stage.turns[0].loss(batch)
    assert len(seen) == 1, "the photos alone"
    expected = start.lerp(seen[0].mean((0, 2, 3)), self_training.MOMENTUM)
    torch.testing.assert_close(norm.running_mean, expected)
    assert norm.momentum == self_training.MOMENTUM


def test_the_source_is_rehearsed_with_its_own_statistics(model: UMAdapt) -> None:
    stage = make(model)
    for norm in model.encoder.trunks["target"].modules():
        if isinstance(norm, self_training.BatchNorm) and norm.running_mean is not None:
            norm.running_mean += 3.0
    batch = stage.prepare(stage.batch(0))
    expected = model(self_training.source_of(batch.batch).images, "source")
    found = rehearse(model, stage.shadows[0], self_training.source_of(batch.batch))
    for name, map_ in expected.items():
        torch.testing.assert_close(found[name].prediction, map_)
    loss = stage.turns[0].loss(batch)
    for name, one in found.items():
        torch.testing.assert_close(loss.watch[f"{name}/source"], one.loss.detach())
    model.encoder.requires_grad_(True)
    sum(loss.terms.values()).backward()  # type: ignore[union-attr]
    weight = next(model.encoder.trunks["target"].parameters())
    assert weight.grad is not None, "and teaches the target's weights"
    assert weight.grad.any()


def test_the_rehearsal_saves_memory_as_the_model_does(model: UMAdapt) -> None:
    stage = make(model)
    arrange(Adapt(run=Path("r"), target=("t",), out=Path("o"), checkpoint_activations=True), model, stage)
    nets = [net for shadow in stage.shadows for net in shadow.modules() if hasattr(net, "economy")]
    assert nets
    assert all(net.economy.blocks for net in nets)  # type: ignore[union-attr]


def test_statistics_stand_still_by_default(model: UMAdapt) -> None:
    stage = make(model)
    before = {name: x.clone() for name, x in model.named_buffers()}
    run(model, stage, 2)
    assert all(torch.equal(x, before[name]) for name, x in model.named_buffers())


def test_the_teacher_follows_and_is_kept(model: UMAdapt) -> None:
    stage = make(model, teacher_decay=0.75, steps=2)
    start = [p.clone() for p in stage.extra["average"].parameters()]
    run(model, stage, 1)
    student, teacher = list(model.target("all").parameters()), list(stage.extra["average"].parameters())
    for slow, fast, old in zip(teacher, student, start, strict=True):
        torch.testing.assert_close(slow, old.lerp(fast, 0.5))  # the plain mean in the first step
    torch.manual_seed(1)
    take(stage.turns[0], stage.prepare(stage.batch(1)), torch.optim.SGD(student, lr=1e-2), 10.0, False, "test")  # type: ignore[arg-type]
    stage.after(1)
    for kept, slow in zip(model.target("all").parameters(), teacher, strict=True):
        torch.testing.assert_close(kept, slow)


def test_the_teacher_sees_photos_and_mirror_images_as_they_are(model: UMAdapt) -> None:
    stage = make(model, masked=0.9)
    batch = stage.batch(0)
    lesson = stage.prepare(batch)
    again = stage.prepare(dataclasses.replace(batch, plain=batch.plain.flip(-1)))
    for name, task in model.tasks.items():
        torch.testing.assert_close(task.mirror(again.targets[name]), lesson.targets[name], atol=1e-4, rtol=1e-3)
    assert not torch.equal(lesson.hard, batch.images)


def test_patches_are_hidden() -> None:
    torch.manual_seed(0)
    images = torch.rand(64, 3, 70, 100)
    assert strong_views.hide(images, 0.0) is images
    hidden = strong_views.hide(images, 0.7)
    grey = (hidden == 0.5).all(1)
    share = grey.float().mean((1, 2))
    assert 0.3 < (share > 0).float().mean() < 0.7, "every other image"
    assert 0.6 < share[share > 0].mean() < 0.8
    assert torch.equal(hidden[~grey[:, None].expand_as(images)], images[~grey[:, None].expand_as(images)])


def test_features_lack_channels_and_have_noise() -> None:
    torch.manual_seed(0)
    features = {"res3": 1 + torch.rand(64, 50, 6, 8), "res5": 10 + torch.rand(64, 30, 3, 4)}
    found = strong_views.disturb(features)
    for name, x in features.items():
        scale = found[name].mean((2, 3)) / x.mean((2, 3))
        missing = scale < 0.5
        assert missing.float().mean() == pytest.approx(strong_views.DROPPED, abs=0.02), "channels of a photo, whole"
        assert scale[~missing].mean() == pytest.approx(1 / (1 - strong_views.DROPPED), rel=0.01)
        noise = found[name] - x / (1 - strong_views.DROPPED)
        assert noise[~missing].std() == pytest.approx(strong_views.NOISE * float(x.std()), rel=0.05)


def test_only_the_student_is_disturbed(model: UMAdapt) -> None:
    found = {}
    for disturb in (True, False):
        stage = make(copy.deepcopy(model), disturb=disturb)
        lesson = stage.prepare(stage.batch(0))
        found[disturb] = (lesson.targets, stage.turns[0].loss(lesson))
    for name in model.tasks:
        assert torch.equal(found[True][0][name], found[False][0][name])
        assert torch.equal(found[True][1].watch[f"{name}/source"], found[False][1].watch[f"{name}/source"])
        assert not torch.equal(found[True][1].terms[f"{name}/taught"], found[False][1].terms[f"{name}/taught"])


def test_classes_are_learnt_where_the_teacher_is_sure(model: UMAdapt) -> None:
    taught = {}
    for confidence in (0.0, 0.999):
        stage = make(copy.deepcopy(model), sure=True, confidence=confidence)
        taught[confidence] = stage.turns[0].loss(stage.prepare(stage.batch(0))).terms
    assert taught[0.0]["seg/taught"] > 0
    assert taught[0.999]["seg/taught"] == 0, "a toy is never as sure as that"
    assert taught[0.999]["depth/taught"] > 0


def test_weights_of_an_own_trunk_are_stored(model: UMAdapt) -> None:
    stage = make(model)
    run(model, stage, 1)
    stored = {name: x.clone() for name, x in weights(model).items()}
    other = UMAdapt(model.spec)
    load_weights(other, stored)
    model.eval()
    images = torch.rand(2, 3, 64, 96)
    for name, map_ in other.eval()(images, "target").items():
        torch.testing.assert_close(map_, model(images, "target")[name])


def test_only_what_is_nearer_is_pasted() -> None:
    """A chair at 2 m goes in front of a wall at 3 m, and not in front of a shelf at 1 m; edges of the picture are soft,
    maps are not."""
    torch.manual_seed(0)
    tasks = make_tasks(tiny_spec())
    wall, chair, shelf = 0.3, 0.2, 0.1  # network units
    depth = torch.full((1, 1, 8, 8), wall)
    depth[..., 4:] = shelf
    targets = {"depth": depth, "normals": torch.zeros(1, 3, 8, 8), "seg": torch.zeros(1, tasks["seg"].channels, 8, 8)}
    normals = torch.zeros(1, 3, 8, 8)
    normals[:, 2] = 1
    seg = torch.full((1, 8, 8), 255)
    seg[:, 2:6, 2:6] = 3
    truths = {"depth": torch.full((1, 1, 8, 8), chair), "normals": normals, "seg": seg}
    images, others = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    truths["normals"][:, :, 3] = 0  # not known there
    doubt = {name: torch.full((1, 8, 8), 0.5) for name in tasks}
    tries = (strong_views.paste(images, targets, doubt, others, truths, tasks, share=0.999) for _ in range(8))
    image, mixed, weights = next(one for one in tries if one[0].any())  # the first for which the chair's class is drawn
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:6, 2:4] = True
    assert torch.equal(mixed["depth"][0, 0] == chair, expected)
    known = expected.clone()
    known[3] = False
    assert torch.equal(mixed["normals"][0, 2] == 1, known)
    for name, here in {"depth": expected, "normals": known, "seg": expected}.items():
        assert (weights[name][0][here] == 1).all(), "an object's truth counts in full"
        assert (weights[name][0][expected & ~here] == 0).all(), "and where it has none, the photo's is no target"
        assert (weights[name][0][~expected] == 0.5).all()
    assert torch.equal(mixed["seg"][0].argmax(0) == 3, expected)
    assert float(image[0, 0, 8, 6]) == 1
    assert set(image.unique().tolist()) - {0.0, 1.0}, "soft edges"
    assert not strong_views.paste(images, targets, doubt, others, truths, tasks, share=0.0)[0].any()


def test_a_batch_without_a_label_teaches_nothing_of_that_task(model: UMAdapt) -> None:
    """There is no unit to measure the distance to the teacher in."""
    stage = make(model)
    lesson = stage.prepare(stage.batch(0))
    source = self_training.source_of(lesson.batch)
    source.truths["depth"].zero_()
    terms = {name: value.detach() for name, value in stage.turns[0].loss(lesson).terms.items()}
    assert float(terms["depth/taught"]) == 0
    assert 0 < float(terms["seg/taught"]) < 100


def test_truth_as_a_prediction_has_next_to_no_loss(model: UMAdapt) -> None:
    batch = random_batch(model)
    for name, task in model.tasks.items():
        truth = task.prepare(batch.truths[name])
        sure, there = task.as_prediction(truth)
        assert there.any()
        assert float(task.loss(sure, truth)) < 1e-3, name
    edges = TASKS["edges"]()
    truth = torch.tensor([1.0, 0.0, -1.0]).view(1, 1, 1, 3)
    sure, there = edges.as_prediction(truth)
    assert float(edges.loss(sure, truth)) < 1e-3
    assert there.tolist() == [[[True, True, False]]]


def test_all_options_together_are_one_sound_step(model: UMAdapt) -> None:
    looks = ("mirror", "zoom", "transfer")
    stage = make(model, looks=looks, masked=0.5, paste=0.9)
    run(model, stage, 2)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def seen_of(model: UMAdapt, images: torch.Tensor, domain: str) -> tuple[float, float]:
    """Mean and deviation of the logarithm of depth, where it is measured."""
    with torch.no_grad():
        depth = model.eval()(images, domain)["depth"][..., ::4, ::4].log()
    return float(depth.mean()), float(depth.std())


def test_photos_keep_the_level_and_contrast_of_the_source_models_depth(model: UMAdapt) -> None:
    """Before the first step, though statistics have moved, and after the last; rooms are rehearsed without that."""
    images = torch.rand(4, 3, 64, 96)
    with torch.no_grad():
        model.decoders["depth"].head.weight *= 30  # type: ignore[operator]
    wanted = seen_of(model, images, "source")
    model.encoder.add_target(share=False)
    with torch.no_grad():
        for norm in model.encoder.branches["target"].modules():
            if isinstance(norm, self_training.BatchNorm) and norm.running_mean is not None:
                norm.running_mean += 0.02
    assert seen_of(model, images, "target") != pytest.approx(wanted, abs=1e-3)
    rooms = random_batch(model, 4, 50)
    before = rehearse(model, model.encoder.rehearsal(), rooms)["depth"].prediction
    photos = lambda: [images[:3], images[:0], images[3:]]  # noqa: E731
    lines = Levels(copy.deepcopy(model), photos).restore(copy.deepcopy(model))
    assert lines["depth"] != Line()
    config = Adapt(Path("r"), ("t",), Path("o"), method="self-training", adapt="all", steps=3, lr=1e-2)
    batches = lambda k: dataclasses.replace(random_batch(model, 4, k), source=rooms)  # noqa: E731
    stage = self_training.stage(model, config, batches, Given(photos=photos))
    assert seen_of(model, images, "target") == pytest.approx(wanted, abs=1e-4)
    after = rehearse(model, stage.shadows[0], rooms, lines)["depth"].prediction
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    run(model, stage, 2)
    assert seen_of(model, images, "target") != pytest.approx(wanted, abs=1e-4)
    stage.after(2)
    assert seen_of(model, images, "target") == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("changes", [{"adapt": "encoder"}, {"labelled": ("photos",)}, {"keep_level": False}])
def test_depth_is_not_put_back(model: UMAdapt, changes: dict[str, Any]) -> None:
    """Where decoders stand still, photos have labels, or nobody wants it."""
    model.encoder.add_target(share=False)
    before = {name: x.clone() for name, x in model.decoders.state_dict().items()}
    options: dict[str, Any] = {"method": "self-training", "adapt": "all"} | changes
    config = Adapt(Path("r"), ("t",), Path("o"), **options)
    self_training.stage(model, config, lambda k: random_batch(model), Given(photos=lambda: [torch.rand(2, 3, 64, 96)]))
    assert all(torch.equal(x, before[name]) for name, x in model.decoders.state_dict().items())
