"""Furniture catalogues: a small one made here, Debian's where it is installed, and broken ones."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from umadapt.errors import UserError
from umadapt.scenes.classes import ID
from umadapt.scenes.shapes import Item
from umadapt.scenes.sweethome import cache as furniture_cache
from umadapt.scenes.sweethome import meshes, wavefront
from umadapt.scenes.sweethome.catalogue import Catalogue, Model, default_folder
from umadapt.scenes.sweethome.meshes import Mesh
from umadapt.scenes.sweethome.polygons import triangulate
from umadapt.scenes.sweethome.table import ROLES, read_table, table_text

PROPERTIES = "PluginFurnitureCatalog.properties"
HEADER = "name=Made here\nlicense=CC0 \\u00a9 nobody\n# a comment\n"
TABLE = (
    "# models\tclass\trole\n"
    "Chair | Turned chair\tchair\tchair\n"
    "Desk\ttable\tdesk\t\tmirror$=mirror\tworks\n"
    "Jacket\tclothes\tclothes\tup\n"
    "Made#sideways\tchair\tchair\t90\n"
    "Door\tdoor\n"
    "Tree\t-\toutdoors\n"
)
QUADS = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (3, 2, 6, 7), (2, 0, 4, 6), (1, 3, 7, 5))


class Writer:
    """An OBJ file in the making, in Sweet Home 3D's frame: x to the right, y up, z to the front."""

    def __init__(self) -> None:
        self.lines, self.count = ["mtllib model.mtl"], 0

    def box(self, lo: tuple[float, float, float], hi: tuple[float, float, float], material: str) -> Writer:
        corners = [[(lo, hi)[i >> k & 1][k] for k in range(3)] for i in range(8)]
        self.lines += [f"v {x} {y} {z}" for x, y, z in corners] + [f"usemtl {material}"]
        self.lines += ["f " + " ".join(str(self.count + k + 1) for k in quad) for quad in QUADS]
        self.count += 8
        return self

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def chair(material: str = "wood") -> str:
    """A seat with its back at the rear."""
    return Writer().box((0, 0, 0), (50, 45, 50), material).box((0, 45, 0), (50, 90, 5), "back").text()


def desk() -> str:
    """A plate on two boards, with a drawer box in the left half below it and a shelf above its rear."""
    return (
        Writer()
        .box((0, 70, 0), (160, 73, 80), "wood")
        .box((0, 0, 0), (3, 70, 80), "wood")
        .box((157, 0, 0), (160, 70, 80), "wood")
        .box((0, 100, 0), (160, 102, 25), "mirror")
        .text()
    )


MTL = """newmtl wood
Kd 0.8 0.4 0.2
Ks 0 0 0
newmtl back
Kd 0.5 0.5 0.5
Ks 0.9 0.9 0.9
Ns 200
d 0.5
newmtl mirror
Kd 0.9 0.9 0.9
newmtl Picture#1
Kd 1 1 1
map_Kd C:\\somewhere\\picture.png
"""


def picture(size: int = 400) -> bytes:
    """Red above, blue below."""
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[: size // 2, :, 0] = 255
    pixels[size // 2 :, :, 2] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def entry(number: int, name: str, size: tuple[float, float, float], path: str = "", **more: str) -> str:
    """A catalogue's lines about one model; sizes in centimetres."""
    values = {
        "id": f"Made#{path or name.lower()}",
        "name": name,
        "category": "Living room",
        "model": f"/made/{path or name.lower()}/model.obj",
        "width": str(size[0]),
        "depth": str(size[1]),
        "height": str(size[2]),
        "creator": "Nobody",
        **more,
    }
    return "".join(f"{key}#{number}={value}\n" for key, value in values.items())


def write(path: Path, entries: list[str], files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PROPERTIES, (HEADER + "".join(entries)).encode("latin-1"))
        for name, content in files.items():
            archive.writestr(f"made/{name}", content)
    return path


def made(folder: Path, obj: str = "", size: tuple[float, float, float] = (50, 50, 90), **more: str) -> Item:
    """The item of a catalogue of one chair."""
    write(
        folder / "one.sh3f",
        [entry(1, "Chair", size, **more)],
        {"chair/model.obj": obj or chair(), "chair/model.mtl": MTL},
    )
    catalogue = Catalogue.open(folder, TABLE)
    return catalogue.item(catalogue.models[0])


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    entries = [
        entry(1, "Desk", (160, 80, 102)),
        entry(2, "Chair", (50, 60, 90)),
        entry(3, "Chair", (50, 60, 80), path="sideways"),
        entry(4, "Turned chair", (60, 50, 90), path="turned", modelRotation="0 0 1 0 1 0 -1 0 0", elevation="12.5"),
        entry(5, "Jacket", (50, 70, 4)),
        entry(6, "Door", (90, 15, 210)),
        entry(7, "Tree", (300, 300, 600)),
        entry(8, "Spaceship", (300, 300, 600)),
        entry(9, "Chair", (5, 6, 9), path="toy"),
        entry(10, "Chair", (50, 60, 90), path="sizeless").replace("width#10", "wide#10"),
    ]
    files: dict[str, str | bytes] = {"desk/model.obj": desk(), "desk/model.mtl": MTL, "jacket/model.obj": chair()}
    files |= {f"{name}/model.obj": chair() for name in ("chair", "sideways", "turned", "toy")}
    write(tmp_path / "made.sh3f", entries, files)
    return Catalogue.open(tmp_path, TABLE)


def find(catalogue: Catalogue, short: str) -> Model:
    return next(model for model in catalogue.models if model.id == f"Made#{short}")


def vertices(item: Item) -> np.ndarray:
    return np.concatenate([part.vertices for part in item.parts])


def fills(item: Item, tolerance: float = 1e-4) -> bool:
    v, (w, d, h) = vertices(item), item.size
    return np.allclose([v.min(0), v.max(0)], [[-w / 2, -d / 2, 0], [w / 2, d / 2, h]], atol=tolerance)


def test_models_are_sorted_and_say_what_they_are(catalogue: Catalogue) -> None:
    assert [m.id for m in catalogue.models] == [
        f"Made#{n}" for n in ("chair", "desk", "door", "jacket", "sideways", "turned")
    ]
    assert find(catalogue, "desk") == Model(
        "Made#desk", "Desk", "table", "desk", (1.6, 0.8, 1.02), 0.0, "Nobody", "CC0 © nobody"
    )
    assert find(catalogue, "turned").elevation == 0.125
    assert find(catalogue, "sideways").size == (0.6, 0.5, 0.8)
    assert find(catalogue, "jacket").size == (0.5, 0.04, 0.7)
    assert [m.id for m in catalogue.of("chair")] == ["Made#chair", "Made#sideways", "Made#turned"]
    assert catalogue.of("bed") == ()


def test_what_is_left_out_has_a_reason(catalogue: Catalogue) -> None:
    reasons = {
        "tree": "outdoors",
        "spaceship": "unknown",
        "toy": "longest side, 0.09 m, is not 0.35 to",
        "sizeless": "does not state its width",
    }
    assert set(catalogue.skipped) == {f"Made#{name}" for name in reasons}
    for name, reason in reasons.items():
        assert reason in catalogue.skipped[f"Made#{name}"]


def test_items_fill_their_boxes_and_face_the_front(catalogue: Catalogue) -> None:
    for name in ("chair", "desk", "jacket", "sideways", "turned"):
        item = catalogue.item(find(catalogue, name))
        assert fills(item)
        assert item.size == find(catalogue, name).size
        assert all(p.two_sided and p.surface is not None and p.faces.max() < len(p.vertices) for p in item.parts)
    back = {}
    for name in ("chair", "turned", "sideways", "jacket"):
        parts = catalogue.item(find(catalogue, name)).parts
        back[name] = next(part for part in parts if part.material.endswith("/back"))
    assert back["chair"].vertices[:, 1].max() < -0.2  # at the rear
    # Sweet Home 3D turns a point p to R p: +z, the front, goes to +x, its right; that is our -x. The back is at +x.
    assert back["turned"].vertices[:, 0].min() > 0.2
    assert back["sideways"].vertices[:, 0].min() > 0.2  # the front +y turned by 90 degrees is -x
    # Lying on its back it looks up: raised, what was up (the back of the chair) is the front, its rear is above.
    assert back["jacket"].vertices[:, 2].min() > 0.6
    assert back["jacket"].vertices[:, 1].min() > -1e-6


def test_right_stays_right(tmp_path: Path) -> None:
    obj = Writer().box((0, 0, 0), (50, 45, 50), "wood").box((40, 45, 40), (50, 90, 50), "back").text()
    post = next(p for p in made(tmp_path, obj).parts if p.material.endswith("/back"))
    assert post.vertices[:, 1].min() > 0.1
    assert post.vertices[:, 0].max() < -0.1  # seen from the front, +y, right is -x


def test_desk_has_a_top_before_its_shelf(catalogue: Catalogue) -> None:
    item = catalogue.item(find(catalogue, "desk"))
    (top,) = item.tops
    assert top.z == pytest.approx(0.73, abs=1e-3)
    assert top.lo[0] < -0.75
    assert top.hi[0] > 0.75
    assert top.hi[1] == pytest.approx(0.4, abs=0.03)
    assert top.headroom == pytest.approx(0.27, abs=0.02) or top.lo[1] > -0.16
    assert item.front == 0.75


def test_materials(catalogue: Catalogue) -> None:
    parts = {p.material: p for p in catalogue.item(find(catalogue, "desk")).parts}
    assert set(parts) == {"Made#desk/wood", "Made#desk/mirror"}
    wood, mirror = parts["Made#desk/wood"].surface, parts["Made#desk/mirror"].surface
    assert wood is not None
    assert mirror is not None
    assert parts["Made#desk/wood"].label == ID["table"]
    assert parts["Made#desk/mirror"].label == ID["mirror"]
    assert mirror.mirror
    assert not wood.mirror
    assert wood.roughness is None
    np.testing.assert_allclose(wood.albedo, [0.604, 0.133, 0.033], atol=2e-3)  # sRGB 0.8, 0.4, 0.2 made linear


def test_gloss_and_glass(tmp_path: Path) -> None:
    back = next(p.surface for p in made(tmp_path).parts if p.material.endswith("/back"))
    assert back is not None
    assert back.opacity == 0.5
    assert back.roughness is not None
    assert 0.15 <= back.roughness <= 0.6


def test_texture_is_upright_shrunk_and_linear(tmp_path: Path) -> None:
    lines = ["mtllib model.mtl", "v 0 0 0", "v 50 0 0", "v 50 90 0", "v 0 90 0", "v 0 0 50", "v 50 0 50", "v 50 90 50"]
    lines += ["v 0 90 50", "vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1", "usemtl Picture#1", "f 5/1 6/2 7/3 8/4"]
    lines += ["usemtl wood", "f 1 2 3 4"]
    write(
        tmp_path / "one.sh3f",
        [entry(1, "Chair", (50, 50, 90))],
        {"chair/model.obj": "\n".join(lines), "chair/model.mtl": MTL, "chair/picture.png": picture()},
    )
    catalogue = Catalogue.open(tmp_path, TABLE)
    front = next(p for p in catalogue.item(catalogue.models[0]).parts if p.material.endswith("Picture#1"))
    assert front.surface is not None
    assert front.surface.albedo.shape == (160, 160, 3)
    assert front.surface.albedo.dtype == np.float32
    np.testing.assert_allclose(front.surface.albedo[0, 0], [0.85, 0, 0])
    np.testing.assert_allclose(front.surface.albedo[-1, 0], [0, 0, 0.85])
    upper = front.vertices[:, 2] > 0.5
    np.testing.assert_allclose(front.uv[upper, 1], 0.0, atol=1e-6)  # row 0, red, is above
    np.testing.assert_allclose(front.uv[~upper, 1], 1.0, atol=1e-6)
    left = front.vertices[:, 0] > 0  # seen from the front
    np.testing.assert_allclose(front.uv[left, 0], 0.0, atol=1e-6)


def test_rubbish_goes(tmp_path: Path) -> None:
    obj = chair() + "usemtl wood\nv nan 1 1\nv 1 1 1\nv 2 2 2\nv 3 3 3\nf 1 2 17\nf 18 19 20\nf 1 3 4\nf 4 1 3\n"
    item = made(tmp_path, obj)
    assert np.isfinite(vertices(item)).all()
    assert sum(len(p.faces) for p in item.parts) == 2 * 2 * 6  # the twins of a face of the seat are gone too
    assert fills(item)


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        ("", "no faces"),
        ("v 0 0 0\nv 1 0 0\nf 1 2 3\n", "beyond the 2 vertices"),
        ("v 0 0 0\nv 1 0 0\nv x 0 0\nf 1 2 3\n", "no number"),
        ("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "area"),
        ("v nan nan nan\nv 1 0 nan\nv 2 0 nan\nf 1 2 3\n", "number"),
        ("v 0 0 0\nv 1 0 0\nv 2 1 0\nvt 0 0\nf 1/1 2 3\n", "differ in kind"),
    ],
)
def test_broken_models_say_why(tmp_path: Path, obj: str, reason: str) -> None:
    write(tmp_path / "one.sh3f", [entry(1, "Chair", (50, 50, 90))], {"chair/model.obj": obj})
    catalogue = Catalogue.open(tmp_path, TABLE)
    with pytest.raises(UserError, match=rf"one.sh3f: Made#chair cannot be read: .*{reason}"):
        catalogue.item(catalogue.models[0])


def test_missing_model_file(tmp_path: Path) -> None:
    write(tmp_path / "one.sh3f", [entry(1, "Chair", (50, 50, 90))], {})
    catalogue = Catalogue.open(tmp_path, TABLE)
    with pytest.raises(UserError, match="Made#chair cannot be read"):
        catalogue.item(catalogue.models[0])


def test_files_outside_the_zip_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture())
    mtl = f"newmtl wood\nKd 0 1 0\nmap_Kd {tmp_path / 'secret.png'}\n"
    names = {
        "../../made.obj": chair(),
        "chair/../../../up.mtl": mtl,
        "chair/model.mtl": mtl,
        "chair/model.obj": chair(),
    }
    path = write(tmp_path / "one.sh3f", [entry(1, "Chair", (50, 50, 90), model="/made/chair/model.obj")], dict(names))
    before = sorted(tmp_path.rglob("*"))
    catalogue = Catalogue.open(path, TABLE)
    wood = next(p.surface for p in catalogue.item(catalogue.models[0]).parts if p.material.endswith("/wood"))
    assert wood is not None
    np.testing.assert_allclose(wood.albedo, [0, 0.85, 0])
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_and_files_that_are_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="apt install sweethome3d-furniture"):
        Catalogue.open(tmp_path)
    with pytest.raises(UserError, match="holds no furniture"):
        Catalogue.open(tmp_path / "missing.sh3f")
    whole = write(tmp_path / "one.sh3f", [], {"chair/model.obj": chair()})
    (tmp_path / "one.sh3f").write_bytes(whole.read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot be read"):
        Catalogue.open(tmp_path)
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="no furniture catalogue"):
        Catalogue.open(whole)


def test_attribution_names_creators_of_what_may_appear(catalogue: Catalogue) -> None:
    assert catalogue.attribution() == [
        {"catalogue": "Made here", "creator": "Nobody", "license": "CC0 © nobody", "models": "5"}
    ]


def same(a: Item, b: Item) -> bool:
    surfaces = [(p.surface, q.surface) for p, q in zip(a.parts, b.parts, strict=True)]
    return (
        (a.size, a.tops, a.front) == (b.size, b.tops, b.front)
        and all(
            np.array_equal(getattr(p, name), getattr(q, name))
            for p, q in zip(a.parts, b.parts, strict=True)
            for name in ("vertices", "faces", "uv", "coarse", "label", "material")
        )
        and all(s is not None and t is not None and np.array_equal(s.albedo, t.albedo) for s, t in surfaces)
    )


def cached(cache: Path) -> list[Path]:
    return sorted((cache / "umadapt" / "furniture").rglob("*.*"))


def test_cache_gives_the_same_and_heals(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = find(catalogue, "desk")

    def again() -> Item:
        return Catalogue.open(tmp_path, TABLE).item(model)

    fresh = again()
    (file,) = cached(tmp_path / "cache")
    assert same(fresh, again())
    assert catalogue.item(model) is catalogue.item(model)
    for damage in (b"", b"nonsense", file.read_bytes()[:-100], bytes(len(file.read_bytes()))):
        file.write_bytes(damage)
        assert same(fresh, again())
        assert furniture_cache.load(catalogue.digest, model.id) is not None
    with np.load(file) as arrays:
        np.savez(file, allow_pickle=False, **{k: arrays[k] for k in arrays.files if k != "counts"})
    assert same(fresh, again())
    assert cached(tmp_path / "cache") == [file]  # no temporary files are left


def test_cache_that_cannot_be_written_is_no_error(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert fills(catalogue.item(find(catalogue, "chair")))


def test_digest_follows_content_alone(catalogue: Catalogue, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "renamed.sh3f").write_bytes((tmp_path / "made.sh3f").read_bytes())
    assert Catalogue.open(other, TABLE).digest == catalogue.digest
    assert Catalogue.open(other, TABLE + "Cat\t-\tan animal\n").digest != catalogue.digest
    write(other / "renamed.sh3f", [entry(1, "Chair", (50, 60, 90))], {"chair/model.obj": chair()})
    first = Catalogue.open(other, TABLE).digest
    write(other / "renamed.sh3f", [entry(1, "Chair", (50, 60, 90))], {"chair/model.obj": chair("oak")})
    assert Catalogue.open(other, TABLE).digest != first != catalogue.digest


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Chair\tseat\tchair", "'seat' is none of the classes"),
        ("Chair\tchair\tthrone", "'throne' is none of the roles"),
        ("Chair\tchair\tchair\t45", "turn '45'"),
        ("Chair\tchair\tchair\t\tleg=limb", "'limb' is none of the classes"),
        ("Chair chair chair", "1 cells"),
        ("Chair\tchair\nChair\tsofa", "line 2: 'Chair' stands in the table twice"),
    ],
)
def test_mistakes_in_the_table(line: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_table(line)


def test_table_that_comes_along() -> None:
    rows = read_table(table_text())
    assert len({row.label for row in rows.values()} - {""}) >= 20
    assert {row.role for row in rows.values()} - {""} <= set(ROLES)


def wavy(n: int) -> Mesh:
    """A textured sheet of 2 n² faces over a square metre."""
    x, y = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1), indexing="ij")
    points = np.stack([x, y, 0.05 * np.sin(7 * x) * np.cos(5 * y)], -1).reshape(-1, 3)
    i = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + n + 2], 1), np.stack([i, i + n + 2, i + n + 1], 1)])
    return Mesh(points, points[:, :2], faces, np.zeros(len(faces), dtype=np.int64))


@pytest.mark.parametrize("most", [100, 1000, 5000])
def test_reduction_stays_on_the_surface(most: int) -> None:
    mesh = wavy(60)
    out = meshes.reduce(mesh, most, np.array([True]))
    assert most / 4 < len(out.faces) <= most
    assert {tuple(v) for v in out.vertices} <= {tuple(v) for v in mesh.vertices}
    np.testing.assert_allclose(out.uv, out.vertices[:, :2], atol=0.3)  # no coordinate crosses a quarter of the texture
    assert np.ptp(out.vertices, axis=0).min() > 0.05


def test_small_meshes_stay_as_they_are() -> None:
    mesh = wavy(10)
    assert meshes.reduce(mesh, 200, np.array([True])) is mesh


@pytest.mark.parametrize("cell_m", [0.05, 0.3])
def test_coarse_faces_use_the_same_vertices(cell_m: float) -> None:
    mesh = wavy(60)
    coarse = meshes.coarse_faces(mesh.vertices, mesh.faces, cell_m)
    assert 0 < len(coarse) < 3 / cell_m**2
    assert coarse.max() < len(mesh.vertices)
    corner = mesh.vertices[coarse]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
    assert area > 0.5


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
@settings(max_examples=60, deadline=None)
def test_largest_rectangle(mask: np.ndarray) -> None:
    x0, y0, x1, y1 = meshes._largest_rectangle(mask)
    assert mask[x0:x1, y0:y1].all()
    n, m = mask.shape
    areas = [
        (c - a) * (d - b)
        for a in range(n) for c in range(a + 1, n + 1) for b in range(m) for d in range(b + 1, m + 1)
        if mask[a:c, b:d].all()
    ]  # fmt: skip
    assert (x1 - x0) * (y1 - y0) == max(areas, default=0)


def area(corners: np.ndarray) -> float:
    return float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    )


def test_concave_polygons() -> None:
    shape = np.array([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]], dtype=float)
    dart = np.array([[0, 0], [2, -1], [0, 3], [-2, -1]], dtype=float)
    # A square ring: its hole is joined to the outline by an edge there and back.
    ring = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]], dtype=float)
    for outline, expected in ((shape, 7.0), (dart, 6.0), (ring, 12.0)):
        for turn in (outline, outline[::-1]):
            points = np.column_stack([turn[:, 0], np.full(len(turn), 5.0), turn[:, 1]])
            triangles = triangulate(points[None])[0]
            assert triangles.shape == (len(points) - 2, 3)
            assert area(points[triangles]) == pytest.approx(expected)


def test_convex_polygons_become_fans() -> None:
    angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    points = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    np.testing.assert_array_equal(triangulate(points[None])[0], [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])


def test_obj_dialects() -> None:
    obj = wavefront.parse_obj(
        b"mtllib a b.mtl\r\nv 0 0 0 1 1 1\nv 1 0 0 1 1 1\nv 1 1 0\nvt 0 0 0\nvn 0 0 1\n"
        b"f -3//1 -2//1 -1//1\nusemtl  two words \nf 1/1/1 2/1/1 \\\n3/1/1\nl 1 2\nf 1 2\n"
    )
    assert obj.libraries == ["a b.mtl"]
    np.testing.assert_array_equal(obj.corners[""], [[[0, -1], [1, -1], [2, -1]]])
    np.testing.assert_array_equal(obj.corners["two words"], [[[0, 0], [1, 0], [2, 0]]])
    mtl = wavefront.parse_mtl(b"Kd 1 1 1\nnewmtl a\n\tKd 0.5\n Tr 0.25\nnewmtl b\nKd spectral x\nd nan\n# Kd 0 0 0\n")
    np.testing.assert_array_equal(mtl["a"].diffuse, [0.5, 0.5, 0.5])
    assert mtl["a"].opacity == 0.75
    assert (mtl["b"].opacity, mtl["b"].texture) == (1.0, None)


debian = default_folder()


@pytest.mark.skipif(debian is None, reason="Debian's sweethome3d-furniture is not installed")
def test_debians_catalogues(tmp_path: Path) -> None:
    assert debian is not None
    catalogue = Catalogue.open(debian)
    assert len(catalogue.models) + len(catalogue.skipped) == 820
    assert not [reason for reason in catalogue.skipped.values() if reason.startswith(("unknown", "its "))]
    placed = [model for model in catalogue.models if model.role]
    assert len({model.label for model in placed}) >= 20
    assert Counter(model.role for model in placed)["chair"] >= 20
    for k in np.random.default_rng(0).choice(len(placed), 40, replace=False):
        model = placed[k]
        item = catalogue.item(model)
        assert fills(item), model.id
        faces = [len(p.faces) for p in item.parts]
        assert 0 < sum(faces) <= 12_000, model.id
        for part in item.parts:
            assert part.coarse is not None
            assert part.coarse.size == 0 or part.coarse.max() < len(part.vertices)
            corner = part.vertices[part.faces]
            cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
            assert np.linalg.norm(cross, axis=1).min() > 0, model.id
            assert np.isfinite(part.uv).all()
        v = vertices(item)
        for top in item.tops:
            assert np.abs(v[:, 2] - top.z).min() < 0.011, model.id
            assert -item.size[0] / 2 - 1e-6 <= top.lo[0] < top.hi[0] <= item.size[0] / 2 + 1e-6
            assert -item.size[1] / 2 - 1e-6 <= top.lo[1] < top.hi[1] <= item.size[1] / 2 + 1e-6
        assert same(item, Catalogue.open(debian).item(replace(model))), model.id
