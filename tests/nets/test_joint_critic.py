"""The critics: shapes for any tasks, and the optimum of a penalised one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from umadapt.nets.feature_decoder import FeatureDecoder
from umadapt.nets.joint_critic import LATENT, JointCritic, gradient_penalty
from umadapt.nets.output_critic import OutputCritic


@pytest.mark.parametrize("groups", [[{"depth": 1, "normals": 3}, {"seg": 5}], [{"depth": 1}, {"seg": 19}], [{"a": 2}]])
def test_one_score_for_each_cell_of_the_latent(groups: list[dict[str, int]]) -> None:
    critic = JointCritic(24, groups, width=0.05)
    maps = {task: torch.rand(2, c, 48, 64) for group in groups for task, c in group.items()}
    assert critic({LATENT: torch.rand(2, 24, 3, 4), **maps}).shape == (2, 1, 3, 4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in critic.modules()), "samples of a batch must not mix"


def test_samples_do_not_mix() -> None:
    torch.manual_seed(0)
    critic = JointCritic(8, [{"depth": 1}], width=0.05)
    both = {LATENT: torch.rand(2, 8, 2, 3), "depth": torch.rand(2, 1, 32, 48)}
    alone = {name: x[:1] for name, x in both.items()}
    torch.testing.assert_close(critic(both)[:1], critic(alone))


@pytest.mark.parametrize(("distance", "weight"), [(3.0, 10.0), (2.0, 1.0)])
def test_the_penalised_critic_of_two_points_reaches_its_optimum(distance: float, weight: float) -> None:
    """Real at d, fake at 0. A critic of slope s between them has the loss -s d + w (s - 1)^2, least at s = 1 + d / 2w.

    The network is trained, not solved, with one epsilon a sample, and must find gap s d within 2 %.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 32), nn.Softplus(), nn.Linear(32, 1))
    direction = torch.tensor([0.6, 0.8])
    real = {"x": (distance * direction).expand(32, 2).contiguous()}
    fake = {"x": torch.zeros(32, 2)}
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.5, 0.9))
    score = lambda tuples: net(tuples["x"])  # noqa: E731
    gaps = []
    for step in range(700):
        if step == 450:
            optimiser.param_groups[0]["lr"] = 1e-3
        penalty = gradient_penalty(score, real, fake, torch.rand(32))
        gap = score(real).mean() - score(fake).mean()
        optimiser.zero_grad()
        (weight * penalty - gap).backward()
        optimiser.step()
        gaps.append(gap.item())
    slope = 1 + distance / (2 * weight)
    assert sum(gaps[-100:]) / 100 == pytest.approx(slope * distance, rel=0.02)


def test_the_penalty_is_over_all_inputs_at_once() -> None:
    """For a linear score the gradient is the weights': the penalty is (|(3, 4)| - 1)^2 wherever epsilon lies."""
    reals = {"a": torch.rand(5, 1), "b": torch.rand(5, 1, 1, 1)}
    fakes = {"a": torch.rand(5, 1), "b": torch.rand(5, 1, 1, 1)}
    score = lambda t: 3 * t["a"] + 4 * t["b"].flatten(1)  # noqa: E731
    assert gradient_penalty(score, reals, fakes, torch.rand(5)).item() == pytest.approx(16, rel=1e-5)


def test_features_come_back_at_their_odd_size() -> None:
    assert FeatureDecoder(12, 7, width=0.05)(torch.rand(1, 12, 8, 10), (15, 19)).shape == (1, 7, 15, 19)


def test_output_critic_halves_five_times() -> None:
    assert OutputCritic(3, 8)(torch.rand(2, 3, 64, 96)).shape == (2, 1, 2, 3)
