"""Does the page hold? Requests of sound and of damaged photos, several at once: what each is answered, and memory.

`umadapt serve` in a process of its own; each request is a visitor of its own, who drops one file.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measure import parser, report
from PIL import Image

WARM = 24  # requests before memory is looked at: by then every kind of photo was there
PATIENCE_S = 600


class Page:
    """A page that answers: what a visitor's browser asks of it, over HTTP."""

    def __init__(self, where: str, model: str, process: subprocess.Popen[str]):
        import httpx

        self.where, self.model, self.process = where, model, process
        self.http = httpx.Client(base_url=where, timeout=PATIENCE_S, trust_env=False)

    def look(self, *photos: tuple[str, bytes], visitor: str | None = None) -> tuple[str, str, str]:
        """Drop files, (name, content) each, as a visitor; the HTML of (status, strip of photos, viewer).

        Raises:
            RuntimeError: an answer that is neither a result nor a sentence.
        """
        visitor = visitor or f"{random.getrandbits(64):x}"
        files = [("files", photo) for photo in photos]
        paths = self.http.post("gradio_api/upload", files=files).raise_for_status().json()
        given = [
            {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
            for path, (name, _) in zip(paths, photos, strict=True)
        ]
        body = {"data": [given, self.model, 0], "session_hash": visitor}
        event = self.http.post("gradio_api/call/look", json=body).raise_for_status().json()["event_id"]
        answer = self.http.get(f"gradio_api/call/look/{event}").text
        kind, _, data = answer.strip().rpartition("event: ")[2].partition("\ndata: ")
        if kind != "complete":
            raise RuntimeError(f"{[name for name, _ in photos]}: {answer[-500:]}")
        status, strip, viewer = (
            part.get("value", "") if isinstance(part, dict) else part or "" for part in json.loads(data)[1:4]
        )
        return status, strip, viewer

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def serving(run: str, *arguments: str) -> Iterator[Page]:
    """`umadapt serve` of a run at a free port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "umadapt", "serve", run, "--port", str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if " answers at " not in line:
            raise RuntimeError(f"{' '.join(command)} ended with {process.wait()}")
        page = Page(f"http://127.0.0.1:{port}/", run, process)
        with page.http:
            yield page
    finally:
        process.terminate()  # SIGTERM: a shell's background jobs ignore SIGINT, and so would this
        process.stdout.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def photos(seed: int = 0) -> dict[str, tuple[bytes, bool]]:
    """Name -> a file's content, and whether a photo can be seen in it."""
    rng = np.random.default_rng(seed)

    def picture(height: int, width: int, mode: str = "RGB") -> Image.Image:
        blobs = Image.fromarray(rng.integers(0, 256, (9, 12, 3)).astype(np.uint8))
        return blobs.resize((width, height)).convert(mode)

    def stored(image: Image.Image, kind: str) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        return buffer.getvalue()

    sound = stored(picture(480, 640), "JPEG")
    return {
        "room.jpg": (sound, True),
        "phone.jpg": (stored(picture(3000, 4000), "JPEG"), True),
        "portrait.webp": (stored(picture(1200, 900), "WEBP"), True),
        "alpha.png": (stored(picture(300, 400, "RGBA"), "PNG"), True),
        "grey.png": (stored(picture(200, 700, "L"), "PNG"), True),
        "tiny.png": (stored(picture(7, 5), "PNG"), True),
        "cut.jpg": (sound[: len(sound) // 2], False),
        "words.jpg": (b"these are words", False),
        "empty.png": (b"", False),
        "long.png": (stored(picture(3, 2000), "PNG"), False),
        "bomb.png": (stored(Image.new("1", (12_000, 10_000)), "PNG"), False),
        "damaged.png": (stored(picture(300, 400), "PNG")[:-300] + b"\0" * 300, False),
    }


def ask(page: Page, name: str, content: bytes, sound: bool) -> tuple[str, float]:
    """What one request was answered, "result", "sentence", or what is neither; and in how many seconds."""
    start = time.perf_counter()
    try:
        status, _, viewer = page.look((name, content))
    except Exception as error:  # is what is counted
        return f"{name}: {error!r}", time.perf_counter() - start
    kind = "result" if "um-stage" in viewer else "sentence" if name in status else f"{name}: nothing"
    if (kind == "result") != sound:
        kind = f"{name}: {kind} {status}"
    return kind, time.perf_counter() - start


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--run", default="indoor", help="run folder, or a model that ships")
    arguments.add_argument("--requests", type=int, default=200)
    arguments.add_argument("--at-once", type=int, default=8)
    given = arguments.parse_args()
    mixed = list(photos().items())
    asked = [mixed[i % len(mixed)] for i in range(WARM + given.requests)]
    with serving(given.run) as page, ThreadPoolExecutor(given.at_once) as pool:

        def each(part: list[Any]) -> list[tuple[str, float]]:
            return list(pool.map(lambda one: ask(page, one[0], *one[1]), part))

        each(asked[:WARM])
        before = page.resident_mb()
        start = time.perf_counter()
        answers = each(asked[WARM:])
        wall = time.perf_counter() - start
        after = page.resident_mb()
        alive = page.process.poll() is None
    kinds = Counter(kind for kind, _ in answers)
    seconds = np.array([spent for _, spent in answers])
    found = {
        "answers": dict(kinds),
        "alive": alive,
        "mb_before": before,
        "mb_after": after,
        "requests_per_s": len(answers) / wall,
        "median_s": float(np.median(seconds)),
        "slowest_s": float(seconds.max()),
    }
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    print(f"{len(answers)} requests, {given.at_once} at a time: {counted}; {'alive' if alive else 'gone'} at the end")
    print(f"memory {before:.0f} MB after {WARM} requests, {after:.0f} MB at the end: {after / before - 1:+.1%}")
    print(f"{found['requests_per_s']:.1f} a second, half within {found['median_s']:.1f} s, all {seconds.max():.1f} s")
    report({"question": "serving", **found}, given.json)


if __name__ == "__main__":
    main()
