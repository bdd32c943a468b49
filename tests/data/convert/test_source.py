"""Originals are read where they lie; nothing hostile or damaged in an archive does harm."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from umadapt.data.convert.source import Source
from umadapt.errors import UserError


def write_tar(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)


def write_rar(path: Path, members: dict[str, bytes], method: int = 0x30, flags: int = 0, unix: int = 0o100644) -> None:
    """Version 3 of the format, by its technical note; members are stored, whatever `method` claims.

    Args:
        method: 0x30 stored … 0x35 best compression.
        flags: of the archive; 8 is solid.
    """

    def block(kind: int, flags: int, fields: bytes) -> bytes:
        head = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head

    out = b"Rar!\x1a\x07\x00" + block(0x73, flags, bytes(6))
    for name, data in members.items():
        sizes = struct.pack("<IIBI", len(data), len(data), 3, zlib.crc32(data))
        fields = struct.pack("<IBBHI", 0x5A21_0000, 29, method, len(name), unix)
        out += block(0x74, 0x8000, sizes + fields + name.encode()) + data
    path.write_bytes(out + block(0x7B, 0x4000, b""))


def test_a_folder_a_zip_a_rar_and_a_tar_read_alike(tmp_path: Path) -> None:
    files = {"a/1.png": b"one" * 1000, "a/b/2.png": b"two", "3.txt": b""}
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    write_tar(tmp_path / "t.tar", files)
    write_rar(tmp_path / "r.rar", files)
    for place in ("folder", "z.zip", "r.rar", "t.tar"):
        source = Source(tmp_path / place)
        assert source.names == tuple(sorted(files))
        assert {name: source.read(name) for name in files} == files
        assert [(name, found[1]) for name, found in source.match(r"(\d)\.png")] == [
            ("a/1.png", "1"),
            ("a/b/2.png", "2"),
        ]
        assert not source.refused
        assert (source.path("a/1.png") is None) == (place != "folder")


def test_members_that_would_leave_the_archive_are_refused(tmp_path: Path) -> None:
    bad = {"../up.png": b"x", "/etc/root.png": b"x", "a/../../up.png": b"x", "C:/windows.png": b"x"}
    write_tar(tmp_path / "t.tar", {**bad, "good.png": b"ok"}, {"link.png": "/etc/passwd"})
    write_rar(tmp_path / "r.rar", {**bad, "good.png": b"ok"})
    write_rar(tmp_path / "links.rar", {"link.png": b"/etc/passwd"}, unix=0o120777)
    sources = [Source(tmp_path / name) for name in ("t.tar", "r.rar", "links.rar")]
    assert [source.names for source in sources] == [("good.png",), ("good.png",), ()]
    assert [len(source.refused) for source in sources] == [len(bad) + 1, len(bad), 1]
    for names, source in (((*bad, "link.png"), sources[0]), (bad, sources[1]), (("link.png",), sources[2])):
        assert all(any(repr(name) in line for line in source.refused) for name in names)


def test_a_zip_that_lies_about_a_size_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(100_000))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # the uncompressed size, in both headers
        at = data.index(mark) + offset
        data[at : at + 4] = struct.pack("<I", 100)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"bomb\.png"):
        Source(path).read("bomb.png")


def test_a_member_too_large_for_any_known_set_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("huge.png")
    info.size = 5 << 30
    (tmp_path / "t.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    source = Source(tmp_path / "t.tar")
    assert source.names == ()
    assert source.refused


def test_damaged_archives_are_named_and_the_others_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.writestr("a.png", b"a" * 5000)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "cut.zip").read_bytes()[:3000])
    write_tar(tmp_path / "good.tar", {"b.png": b"b"})
    (tmp_path / "packed.tar.gz").write_bytes(b"\x1f\x8b")
    source = Source(tmp_path)
    assert source.names == ("b.png",)
    assert any("cut.zip" in line for line in source.refused)
    assert any("packed.tar.gz" in line and "unpack it" in line for line in source.unread)


def test_what_lies_before_the_damage_of_a_tar_is_read(tmp_path: Path) -> None:
    """A download of gigabytes that broke off."""
    write_tar(tmp_path / "t.tar", {"a.png": b"a" * 3000, "b.png": b"b" * 3000, "c.png": b"c" * 3000})
    (tmp_path / "t.tar").write_bytes((tmp_path / "t.tar").read_bytes()[:6000])
    source = Source(tmp_path / "t.tar")
    assert source.read("a.png") == b"a" * 3000
    assert any("t.tar: truncated" in line for line in source.refused)
    if "b.png" in source.names:
        with pytest.raises(UserError, match=r"b\.png"):
            source.read("b.png")
    assert "c.png" not in source.names


def test_a_rar_that_cannot_be_read_in_place_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rar(tmp_path / "solid.rar", {"a.png": b"a"}, flags=8)
    with pytest.raises(UserError, match=r"solid rar.*unpack it"):
        Source(tmp_path / "solid.rar")
    monkeypatch.setenv("PATH", str(tmp_path))  # no unrar
    write_rar(tmp_path / "packed.rar", {"b.png": b"b"}, method=0x33)
    with pytest.raises(UserError, match="install unrar, unar or 7z"):
        Source(tmp_path / "packed.rar")
    write_rar(tmp_path / "cut.rar", {"c.png": b"c" * 3000, "d.png": b"d" * 3000})
    (tmp_path / "cut.rar").write_bytes((tmp_path / "cut.rar").read_bytes()[:5000])
    write_rar(tmp_path / "good.rar", {"e.png": b"e"})
    (tmp_path / "no.rar").write_bytes(b"no rar at all")
    source = Source(tmp_path)
    assert source.read("e.png") == b"e"
    assert source.read("c.png") == b"c" * 3000
    assert any("solid.rar" in line for line in source.unread)
    assert any("packed.rar" in line for line in source.unread)
    assert any("no.rar" in line for line in source.refused)
    if "d.png" in source.names:
        with pytest.raises(UserError, match=r"cut\.rar:d\.png"):
            source.read("d.png")
    else:
        assert any("cut.rar" in line for line in source.refused)


def test_links_in_the_users_own_folders_are_followed_and_never_in_circles(tmp_path: Path) -> None:
    (tmp_path / "disk" / "images").mkdir(parents=True)
    (tmp_path / "disk" / "images" / "1.png").write_bytes(b"1")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "images").symlink_to(tmp_path / "disk" / "images")
    (tmp_path / "disk" / "images" / "up").symlink_to(tmp_path / "disk")
    assert Source(tmp_path / "set").names == ("images/1.png",)


def test_a_zip_is_read_by_many_threads_at_a_time(tmp_path: Path) -> None:
    files = {f"{i}.png": bytes([i]) * (1000 * i + 1) for i in range(60)}
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    source = Source(tmp_path / "z.zip")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert dict(zip(files, pool.map(source.read, files), strict=True)) == files


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(range(256)) * 40)
        archive.writestr("b.png", b"fine")
    data = bytearray(path.read_bytes())
    at = data.index(b"a.png") + 20
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)
    source = Source(path)
    with pytest.raises(UserError, match=r"z\.zip:a\.png"):
        source.read("a.png")
    assert source.read("b.png") == b"fine"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        Source(tmp_path / "nowhere")
    (tmp_path / "x.tgz").write_bytes(b"")
    with pytest.raises(UserError, match="unpack it"):
        Source(tmp_path / "x.tgz")
    (tmp_path / "one.png").write_bytes(b"1")
    source = Source(tmp_path / "one.png")
    assert source.read("one.png") == b"1"
    with pytest.raises(UserError, match=r"two\.png: not there"):
        source.read("two.png")
