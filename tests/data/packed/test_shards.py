"""A packed set is the folder it was made from: the same files, samples and shares, wherever it lies."""

from __future__ import annotations

import json
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.augment import Augment
from umadapt.data.folder import Folder
from umadapt.data.packed.remote import CACHE_LIMIT, Url, is_host, place
from umadapt.data.packed.shards import Index, Packed
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.training.batches import Batches

KINDS = ("image", "depth", "normals", "seg")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards") / "world"
    write_toy_world(root, 14, seed=3)
    (root / "splits").mkdir()
    (root / "splits" / "few.txt").write_text("".join(f"{id}\n" for id in Folder(root).ids[3:9]))
    (root / "normals" / f"{Folder(root).ids[4]}.png").unlink()
    return root


@pytest.fixture(scope="module")
def packed(world: Path) -> Path:
    """Several shards: the smallest that the command line allows is too large for so little."""
    from umadapt.commands import pack

    with pytest.MonkeyPatch.context() as patch:
        plan = pack.plan_shards
        patch.setattr(pack, "plan_shards", lambda folder, limit: plan(folder, 40_000))
        assert main(["pack", str(world), str(world.parent / "packed")]) == 0
    assert len(list((world.parent / "packed" / "shards").iterdir())) > 2
    return world.parent / "packed"


def batches(address: Path, rank: int = 0, world: int = 1) -> Batches:
    folder = Folder(address)
    recipe = Augment()
    tasks = ("depth", "normals", "seg")
    return Batches(
        folder, folder.ids, (64, 96), (32, 48), tasks=tasks, batch=6, seed=4, recipe=recipe, rank=rank, world=world
    )


def test_it_reads_as_the_folder_does(world: Path, packed: Path) -> None:
    plain, ours = Folder(world), Folder(packed)
    assert (ours.ids, ours.tasks, ours.classes, ours.name) == (plain.ids, plain.tasks, plain.classes, plain.name)
    assert Folder(f"{packed}:few").ids == Folder(f"{world}:few").ids
    for id in plain.ids:
        np.testing.assert_array_equal(ours.read_image(id), plain.read_image(id))
        for task in KINDS[1:]:
            assert ours.has(task, id) == plain.has(task, id)
            if plain.has(task, id):
                np.testing.assert_array_equal(ours.read_label(task, id), plain.read_label(task, id))
    with pytest.raises(UserError, match="no split 'none'; it has: few"):
        Folder(f"{packed}:none")
    assert main(["check", str(packed)]) == 0


def test_shards_are_tars_by_the_webdataset_convention(world: Path, packed: Path) -> None:
    seen: dict[str, bytes] = {}
    for path in sorted((packed / "shards").iterdir()):
        with tarfile.open(path) as archive:
            names = archive.getnames()
            keys = [name.split(".")[0] for name in names]
            assert keys == sorted(keys)  # the files of a sample follow each other
            for name in names:
                file = archive.extractfile(name)
                assert file is not None
                seen[name] = file.read()
    expected = {
        f"{path.stem}.{kind}{path.suffix}": path.read_bytes() for kind in KINDS for path in (world / kind).iterdir()
    }
    assert seen == expected


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_first_hundred_samples_of_every_rank_are_those_of_the_folder(
    world: Path, packed: Path, processes: int
) -> None:
    alone = batches(world)
    parts = [(batches(world, rank, processes), batches(packed, rank, processes)) for rank in range(processes)]
    for step in range(17):  # of 6: more than 100
        shares = [[a.pick(k) for k in a.numbers(step)] for a, _ in parts]
        assert shares == [[b.pick(k) for k in b.numbers(step)] for _, b in parts]
        assert [name for share in shares for name in share] == [alone.pick(k) for k in alone.numbers(step)]
    for step in (0, 9):  # the very tensors, augmented
        whole = alone(step)
        ours = [shards(step) for _, shards in parts]
        torch.testing.assert_close(torch.cat([part.images for part in ours]), whole.images, rtol=0, atol=0)
        for task, truth in whole.truths.items():
            torch.testing.assert_close(torch.cat([part.truths[task] for part in ours]), truth, rtol=0, atol=0)


def test_training_from_shards_gives_the_weights_of_the_folder(world: Path, packed: Path, tmp_path: Path) -> None:
    net = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --device cpu"
    steps = "--batch 4 --transfer-steps 3 --base-steps 3 --contour-steps 2"
    for source, out in ((world, "folder"), (packed, "shards")):
        command = ["train", "--source", str(source), "--out", str(tmp_path / out)]
        assert main([*command, *net.split(), *steps.split()]) == 0
    weights = [(tmp_path / out / "model.safetensors").read_bytes() for out in ("folder", "shards")]
    assert weights[0] == weights[1]


@given(st.integers(0, 50), st.integers(1, 12))
def test_shares_leave_nothing_out_and_repeat_nothing(count: int, world: int) -> None:
    shares = [process_group.share_of(range(count), rank, world) for rank in range(world)]
    assert [k for share in shares for k in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_smaller_than_the_processes_is_refused(world: Path) -> None:
    folder = Folder(world)
    with pytest.raises(UserError, match="cannot be shared by 3 processes"):
        Batches(folder, folder.ids, (64, 96), (32, 48), tasks=("depth",), batch=2, world=3)


def test_packing_is_repeatable_and_resumed(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert main(["pack", str(world), str(tmp_path / name)]) == 0
    for path in (p for p in (tmp_path / "a").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    capsys.readouterr()
    assert main(["pack", str(world), str(tmp_path / "a")]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["pack", f"{world}:few", str(tmp_path / "a")]) == 2
    assert "holds a packed set of other data" in capsys.readouterr().err
    assert main(["pack", str(tmp_path / "a"), str(tmp_path / "c")]) == 2
    assert "packed set already" in capsys.readouterr().err
    assert main(["pack", f"{world}:few", str(tmp_path / "few")]) == 0
    assert Folder(tmp_path / "few").ids == Folder(f"{world}:few").ids


def test_a_bad_file_is_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "world", tmp_path / "out"
    write_toy_world(root, 3, seed=0)
    victim = root / "depth" / f"{Folder(root).ids[1]}.png"
    data = victim.read_bytes()
    victim.write_bytes(data[:-30])
    command = ["pack", str(root), str(out), "--json", str(tmp_path / "j")]
    assert main(command) == 1
    assert str(victim) in capsys.readouterr().out
    assert len(json.loads((tmp_path / "j").read_text())["bad"]) == 1
    with pytest.raises(UserError, match="packing was not finished"):
        Folder(out)
    victim.write_bytes(data)
    assert main(command) == 0
    assert Folder(out).ids == Folder(root).ids


def test_a_damaged_shard_or_index_is_named(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["pack", str(world), str(out)]) == 0
    shard = out / "shards" / "000000.tar"
    data = shard.read_bytes()
    shard.write_bytes(data[:5000])
    folder = Folder(out)
    with pytest.raises(UserError, match=r"000000\.tar: found 5000 bytes"):
        folder.read_image(folder.ids[-1])
    shard.unlink()
    with pytest.raises(UserError, match=r"000000\.tar: cannot be read"):
        folder.read_image(folder.ids[0])
    index = out / "index.npz"
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(UserError, match="damaged index"):
        Folder(out)


def test_a_set_behind_a_url(packed: Path, world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fsspec

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.put(str(packed), "/bucket/set", recursive=True)
    try:
        plain, ours = Folder(world), Folder("memory://bucket/set:few")
        assert ours.ids == Folder(f"{world}:few").ids
        assert str(ours.image_path(ours.ids[0])).startswith("memory://bucket/set/shards/")
        for id in ours.ids:
            np.testing.assert_array_equal(ours.read_image(id), plain.read_image(id))
        kept = list((tmp_path / "cache").rglob("*.tar"))
        assert kept  # fetched once; from here on the network may be gone
        for path in system.find("/bucket/set/shards"):
            system.pipe(path, b"another shard")
        np.testing.assert_array_equal(ours.read_image(ours.ids[0]), plain.read_image(ours.ids[0]))
        for path in kept:
            path.unlink()
        with pytest.raises(UserError, match="found 13 bytes"):
            ours.read_image(ours.ids[0])
        with pytest.raises(UserError, match="no index"):
            Folder("memory://bucket/nothing")
    finally:
        system.rm("/bucket", recursive=True)


def test_the_cache_of_shards_is_bounded(packed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import fsspec

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(CACHE_LIMIT, "0.0001")  # 100 kB, two or three shards of 40
    system = fsspec.filesystem("memory")
    system.put(str(packed), "/small/set", recursive=True)
    try:
        folder = Folder("memory://small/set")
        for id in folder.ids:
            folder.read_image(id)
        kept = list((tmp_path / "cache").rglob("*.tar"))
        assert 0 < sum(path.stat().st_size for path in kept) <= 100_000
        monkeypatch.setenv(CACHE_LIMIT, "much")
        with pytest.raises(UserError, match="expected a number of gigabytes"):
            Folder("memory://small/set")
    finally:
        system.rm("/small", recursive=True)


def test_addresses() -> None:
    assert isinstance(place("s3://bucket/set"), Url)
    assert str(place("s3://bucket/set")) == "s3://bucket/set"
    assert not isinstance(place("file:///data/set"), Url)
    assert str(place("file:///data/set")) == "/data/set"
    assert is_host("http://machine")
    assert not is_host("http://machine/set")


def test_a_hundred_thousand_ids_open_without_a_listing(tmp_path: Path) -> None:
    """The index alone is read: shards need not even be there."""
    count = 100_000
    ids = tuple(f"scene-{k:07d}" for k in range(count))
    at = np.arange(count, dtype=np.int64) * 4096
    index = Index(
        ids,
        (np.arange(count) // 1000).astype(np.int32),
        np.full(count, ".jpg", "U8"),
        dict.fromkeys(KINDS, at),
        {kind: np.full(count, 1000, np.int64) for kind in KINDS},
        np.full(100, 1 << 30, np.int64),
        ("0" * 64,) * 100,
        (),
        "k",
    )
    (tmp_path / "shards").mkdir()
    data = index.to_bytes()
    assert len(data) < 3_000_000
    (tmp_path / "index.npz").write_bytes(data)
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "big", "tasks": {"seg": {"classes": ["a"]}}}))
    tracemalloc.start()
    try:
        folder = Folder(tmp_path)
        loader = Batches(folder, folder.ids, (64, 96), (32, 48), tasks=("seg",), batch=8)
        assert len({loader.pick(k) for k in range(1000)}) == 1000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6
    assert len(Packed(tmp_path).files("image")) == count


def changed_index(packed: Path, to: Path, **arrays: np.ndarray) -> Path:
    """A packed set whose index has other arrays."""
    (to / "shards").mkdir(parents=True)
    for shard in (packed / "shards").iterdir():
        (to / "shards" / shard.name).write_bytes(shard.read_bytes())
    (to / "dataset.json").write_bytes((packed / "dataset.json").read_bytes())
    with np.load(packed / "index.npz") as file:
        index: dict[str, Any] = {name: file[name] for name in file.files} | arrays
        np.savez(to / "index.npz", **index)
    return to


def joined(*ids: str) -> np.ndarray:
    return np.frombuffer("\0".join(ids).encode(), np.uint8)


@pytest.mark.parametrize(
    "id", ["../../../escaped", "/tmp/escaped", "a//b", "a/../b", "a/.b", ".hidden", "..", "", "x" * 252]
)
def test_ids_that_leave_the_folder_are_refused(
    packed: Path, tmp_path: Path, id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = sorted([id, *Folder(packed).ids[1:]])
    out = changed_index(packed, tmp_path / "set", ids=joined(*ids))
    assert main(["check", str(out)]) == 2
    said = capsys.readouterr().err
    assert "index.npz" in said
    assert "is no id" in said
    assert main(["predict", "no-run", str(out), "--out", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "arrays",
    [
        {"shard_sha256": np.array("../../../x")},  # of each shard: would name a file of the cache
        {"splits": np.array(["../few"])},
        {"shard": np.full(14, 99)},
        {"shard": np.full(14, 0.5)},
        {"image_offset": np.full(14, 10**9)},
        {"image_size": np.full(14, -1)},
        {"depth_size": np.full(14, 2**62)},
        {"suffix": np.full(14, "/../../x")},
        {"suffix": np.arange(14)},
        {"shard_size": np.array(3)},
        {"ids": joined(*("same",) * 14)},
        {"version": np.array([1, 2])},
        {"version": np.array("one")},
    ],
)
def test_an_index_that_cannot_be_is_refused(packed: Path, tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    if "shard_sha256" in arrays:
        arrays = {"shard_sha256": np.repeat(arrays["shard_sha256"], len(list((packed / "shards").iterdir())))}
    with pytest.raises(UserError, match=r"index\.npz"):
        Folder(changed_index(packed, tmp_path / "set", **arrays))


@pytest.mark.parametrize(
    "content", ["", "[]", '{"data": 3, "shards": {}}', '{"data": "x", "shards": {"000000": {}}}', '{"shards": {}}']
)
def test_a_damaged_note_of_packing_is_named(
    world: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pack.json").write_text(content)
    assert main(["pack", str(world), str(tmp_path / "out")]) == 2
    assert "pack.json is damaged" in capsys.readouterr().err
