"""Triangles of flat polygons, concave ones and ones with bridged holes included."""

from __future__ import annotations

import numpy as np


def triangulate(corners: np.ndarray) -> np.ndarray:
    """(P, n, 3) polygons of n corners in order round them -> (P, n - 2, 3) corner numbers of their triangles."""
    count, n = corners.shape[:2]
    k = np.arange(1, n - 1)
    fan = np.stack([np.zeros_like(k), k, k + 1], 1)
    out = np.broadcast_to(fan, (count, n - 2, 3)).copy()
    if n == 3:
        return out
    # Newell's normal; a corner that turns against it is reflex.
    following = np.roll(corners, -1, 1)
    normal = np.cross(corners, following).sum(1)
    turn = np.cross(corners - np.roll(corners, 1, 1), following - corners)
    bend = np.einsum("pnk,pk->pn", turn, normal)
    reflex = bend < -1e-9 * np.abs(bend).max(1, keepdims=True)
    for p in np.flatnonzero(reflex.any(1)):
        if n == 4 and reflex[p].sum() == 1:
            out[p] = (fan + int(np.argmax(reflex[p]))) % 4  # a dart: split it at its notch
        else:
            drop = int(np.argmax(np.abs(normal[p])))
            out[p] = _ears(np.delete(corners[p], drop, 1), fan)
    return out


def _ears(points: np.ndarray, fan: np.ndarray) -> np.ndarray:
    """(n - 2, 3) by cutting off ears, corners (n, 2) whose triangle holds no other corner."""
    x, y = points[:, 0], points[:, 1]
    if (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() < 0:
        points = points * [-1.0, 1.0]
    left, out = list(range(len(points))), []
    while len(left) > 3:
        ring = points[left]
        before, after = np.roll(ring, 1, 0), np.roll(ring, -1, 0)
        convex = np.flatnonzero(_side(before, ring, after) > 0)
        ear = next((i for i in convex.tolist() if _is_ear(before[i], ring[i], after[i], ring)), None)
        if ear is None:  # it crosses itself: no triangulation is right
            return fan
        out.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*out, left])


def _side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """> 0 where c lies to the left of a -> b."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])


def _is_ear(a: np.ndarray, b: np.ndarray, c: np.ndarray, ring: np.ndarray) -> bool:
    inside = (_side(a, b, ring) >= 0) & (_side(b, c, ring) >= 0) & (_side(c, a, ring) >= 0)
    own = (ring == a).all(1) | (ring == b).all(1) | (ring == c).all(1)  # twins of the corners: bridges to holes
    return not bool((inside & ~own).any())
