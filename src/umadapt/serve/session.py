"""Who is at the page: the photos of each visitor, the models adapted to them, and folders that go when they leave."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from umadapt.errors import UserError
from umadapt.inference.predictor import Predictor
from umadapt.serve.adaptation import WAYS, Adaptation, OneAtATime, Progress
from umadapt.serve.photos import Limits, Photo, take
from umadapt.serve.shown import Looker, Shown

MOST = 64  # visitors whose files are kept; then the one who was here longest ago is forgotten
FEWEST = 3  # photos of an adaptation
COMPARED = 3  # photos that are shown before and after one
KEPT = 4  # results of a visitor that are kept, but for those compared


class Source(NamedTuple):
    """The model that every visitor has."""

    name: str  # for people
    run: Path
    looker: Looker
    load: Callable[[Path], Predictor]  # of what was adapted from it


class Session:
    """One visitor; `folder` holds their files. Photos are read and predicted by `worker`, one at a time for all."""

    def __init__(self, folder: Path, source: Source, worker: Executor):
        self.folder, self.source, self._worker = folder, source, worker
        self.models = {source.name: source.looker}
        self.photos: list[Photo] = []
        self.chosen = 0  # index of the one that is shown
        self.shape: Path | None = None  # of that one
        self.adaptation: Adaptation | None = None
        self.seen = time.monotonic()
        self._numbers = itertools.count()
        self._results: list[Path] = []
        self._compared: list[Path] = []

    def add(self, given: Sequence[Path], limits: Limits) -> Iterator[str | None]:
        """Take photos one by one: for each what is wrong with it, or None."""
        folder = self.folder / "photos"
        for path in given:
            try:
                if len(self.photos) >= limits.photos:
                    raise UserError(f"{path.name}: {limits.photos} photos are here, which is all that the page takes")
                self.photos.append(self._worker.submit(take, path, folder, limits).result())
                yield None
            except UserError as error:
                yield str(error)

    def forget_photos(self) -> None:
        """Start anew; the adapted models stay."""
        self.photos, self.chosen, self.shape = [], 0, None
        shutil.rmtree(self.folder / "photos", ignore_errors=True)

    def show(self, index: int, model: str, fov: float = 0.0) -> Shown:
        """What a model sees in a photo. Raises UserError where there is no such photo or model, or it fails."""
        shown = self._show(index, model, fov, self._results)
        while len(self._results) > KEPT:
            shutil.rmtree(self._results.pop(0), ignore_errors=True)
        return shown

    def compare(self, adapted: str) -> Iterator[tuple[Shown, Shown]]:
        """A few photos as the model everybody has sees them, and an adapted one."""
        for folder in self._compared:
            shutil.rmtree(folder, ignore_errors=True)
        self._compared = []
        count = min(COMPARED, len(self.photos))
        for index in [i * (len(self.photos) - 1) // max(1, count - 1) for i in range(count)]:
            before = self._show(index, self.source.name, 0.0, self._compared)
            yield before, self._show(index, adapted, 0.0, self._compared, before)

    def _show(self, index: int, model: str, fov: float, results: list[Path], beside: Shown | None = None) -> Shown:
        if not 0 <= index < len(self.photos):
            raise UserError("that photo is not here any more; drop it again")
        if model not in self.models:
            raise UserError(f"there is no model {model!r} any more; choose another")
        folder = self.folder / f"shown-{next(self._numbers)}"
        results.append(folder)
        return self._worker.submit(self.models[model].show, self.photos[index], folder, fov, beside).result()

    def adapt(self, turn: OneAtATime, way: str, steps: int, wait_s: float = 1.0) -> Iterator[Progress]:
        """Adapt the model to this visitor's photos; how far it is, each second. Left early, it stops.

        Raises:
            UserError: too few photos, or another adaptation runs.
        """
        if len(self.photos) < FEWEST:
            raise UserError(f"adapting takes {FEWEST} photos at least, better 50; there are {len(self.photos)}")
        arguments = (*WAYS[way], *(("--steps", str(steps)) if way == "thorough" else ()))
        out = self.folder / f"run-{next(self._numbers)}" / "run"
        running = self.adaptation = turn.start(self.source.run, self.folder / "photos", out, arguments)
        try:
            while (now := running.progress()).state in ("preparing", "adapting"):
                self.seen = time.monotonic()
                yield now
                time.sleep(wait_s)
            yield now
        finally:
            running.stop()

    def adopt(self, run: Path) -> tuple[str, Path]:
        """Make an adapted run this visitor's other model: its name, and the model as one file to take away.

        Raises:
            UserError: it cannot be read.
        """
        from umadapt.inference.hub import write_run

        name = f"adapted to {len(self.photos)} photos"
        looker = Looker(self.source.load(run))
        self.models = {self.source.name: self.source.looker, name: looker}
        file = run.parent / f"{self.source.run.stem}-adapted.safetensors"
        write_run(run, file)
        return name, file

    def stop(self) -> None:
        """Stop this visitor's adaptation, if one runs."""
        if self.adaptation is not None:
            self.adaptation.stop()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All visitors, by their key; `root` holds their folders."""

    def __init__(self, source: Source, limits: Limits, root: Path):
        self.source, self.limits, self.root = source, limits, root
        self.turn = OneAtATime()
        # one thread: eight photos at once need the memory of one, and the next uses it again
        self._worker = ThreadPoolExecutor(1, "umadapt-look")
        self._lock = threading.Lock()
        self._all: dict[str, Session] = {}

    def of(self, key: str | None) -> Session:
        """The visitor with this key, or a new one."""
        key = key or ""
        with self._lock:
            if key not in self._all:
                while len(self._all) >= MOST:
                    oldest = min(self._all, key=lambda k: self._all[k].seen)
                    self._all.pop(oldest).close()
                folder = Path(tempfile.mkdtemp(dir=self.root, prefix="visitor-"))
                self._all[key] = Session(folder, self.source, self._worker)
            found = self._all[key]
            found.seen = time.monotonic()
            return found

    def close(self, key: str | None) -> None:
        """Forget a visitor, who has left."""
        with self._lock:
            gone = self._all.pop(key or "", None)
        if gone is not None:
            gone.close()

    def close_all(self) -> None:
        self.turn.stop()
        for key in list(self._all):
            self.close(key)
        self._worker.shutdown(cancel_futures=True)
