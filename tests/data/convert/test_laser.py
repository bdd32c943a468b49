"""The projection against a loop over points, and the published Eigen list."""

from __future__ import annotations

import numpy as np
import pytest

from umadapt.data.convert.kitti import eigen_frames
from umadapt.data.convert.laser import project, read_calibration, read_scan
from umadapt.errors import UserError


@pytest.mark.parametrize("ahead", [False, True])
def test_projection_equals_a_loop_over_points(ahead: bool) -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform([-5, -10, -2], [40, 10, 2], (3000, 3))
    k = np.array([[70.0, 0, 60, 3], [0, 71.0, 20, 0.2], [0, 0, 1, 0.003]])
    move = np.array([[0, -1, 0, 0.1], [0, 0, -1, -0.07], [1, 0, 0, -0.27], [0, 0, 0, 1]])
    projection, size = k @ move, (40, 120)
    expected: dict[tuple[int, int], float] = {}
    for point in points:
        if point[0] < 0:
            continue
        x, y, z = projection @ [*point, 1]
        if z <= 0:
            continue
        u, v = round(x / z) - 1, round(y / z) - 1
        if 0 <= u < 120 and 0 <= v < 40:
            depth = point[0] if ahead else z
            expected[v, u] = min(expected.get((v, u), np.inf), depth)
    found = project(points, projection, size, ahead)
    assert len(expected) > 300
    assert {tuple(at) for at in np.argwhere(found > 0)} == expected.keys()
    for at, depth in expected.items():
        assert found[at] == pytest.approx(depth, rel=1e-6)


def test_damaged_scans_and_calibrations_are_named() -> None:
    with pytest.raises(UserError, match=r"a\.bin: 17 bytes"):
        read_scan(b"0" * 17, "a.bin")
    with pytest.raises(UserError, match="no calibration"):
        read_calibration(b"P_rect_02: 1 2", b"R: 1", "calib")


def test_the_eigen_list_has_697_images_of_28_drives() -> None:
    ids = eigen_frames()
    assert len(ids) == len(set(ids)) == 697
    assert len({id.rsplit("-", 2)[0] for id in ids}) == 28
    assert ids[0] == "2011_09_26_drive_0002_sync-02-0000000000"
