"""The run folder: its file names, atomic writes, its lock, and what makes two searches the same.

Must not import Ray, Keras or Optuna.
"""

import difflib
import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from tuner.errors import RunFolderError
from tuner.files import TEMPORARY, write_atomically, write_bytes_atomically
from tuner.settings.config import SearchConfig
from tuner.settings.places import absolute, tracking_uri, working_copy
from tuner.settings.yaml_files import read_yaml, to_yaml
from tuner.storage import Storage, is_url

_LOCK_ATTEMPTS = 5
_RECORDED_PACKAGES = ("sequence-tuner", "ray", "optuna", "keras", "tensorflow", "numpy", "pandas")


class RunFolder:
    """Paths and safe writing of one run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def run_file(self) -> Path:
        return self.path / "run.yaml"

    @property
    def journal(self) -> Path:
        return self.path / "study.journal"

    @property
    def leaderboard(self) -> Path:
        return self.path / "leaderboard.csv"

    @property
    def curves(self) -> Path:
        return self.path / "curves.csv"

    @property
    def finalists(self) -> Path:
        return self.path / "finalists.csv"

    @property
    def tests(self) -> Path:
        """Every opening of the test split, with what came of it."""
        return self.path / "tests.yaml"

    @property
    def report(self) -> Path:
        """What `tuner report` writes."""
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        """The folder that `tuner export` writes."""
        return self.path / "model"

    def finalist_model(self, trial: int, seed: int) -> Path:
        """The model of a finalist that was trained with `seed`."""
        return self.finalist_models / f"trial-{trial}-seed-{seed}.npz"

    @property
    def finalist_models(self) -> Path:
        """The folder of these models."""
        return self.path / "finalists"

    @property
    def result_files(self) -> tuple[Path, ...]:
        """What the run is, without its logs; the journal last: whoever sees it copied finds the others, too."""
        return (
            self.run_file,
            self.leaderboard,
            self.curves,
            self.finalists,
            self.tests,
            *sorted(self.finalist_models.glob("*.npz")),
            self.journal,
        )

    def take_over(self, storage: Storage) -> bool:
        """Writes the files of a copy of this run, the journal last; False where there is no such copy.

        Raises:
            OSError: the copy cannot be read.
        """
        journal = storage.read(self.journal.name)
        if journal is None:
            return False
        models = [
            name for name in storage.names(self.finalist_models.name) if name.endswith(".npz")
        ]
        plain = [path.name for path in self.result_files if path.parent == self.path]
        for name in (*models, *(name for name in plain if name != self.journal.name)):
            content = storage.read(name)
            if content is not None:
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                write_bytes_atomically(self.path / name, content)
        write_bytes_atomically(self.journal, journal)
        return True

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, a folder a trial."""
        return self.path / "tensorboard"

    @property
    def study_id(self) -> str:
        """Tells the study from all others, also from those of the same name: of the journal's first line."""
        with open(self.journal, "rb") as journal:
            return hashlib.sha256(journal.readline()).hexdigest()[:16]

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def snapshot(self) -> Path:
        """A long leaderboard as it was at a point of the journal: see `tuner.run.snapshot`."""
        return self.logs / "leaderboard.parquet"

    @property
    def lock_file(self) -> Path:
        return self.logs / "lock"

    @property
    def stop_request(self) -> Path:
        """Being there, it asks the search that runs in this folder to end."""
        return self.logs / "stop"

    @property
    def owner(self) -> str | None:
        """Which search runs in this folder, `process 123 on host`; None when none does."""
        try:
            with open(self.lock_file, encoding="utf-8", errors="replace") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return lock.read().strip() or "another process"
        except OSError:  # no search ever ran here, or its lock is none
            pass
        return None

    @property
    def is_abandoned(self) -> bool:
        """Whether the last search in this folder died: one that ends by itself takes its name off the lock."""
        try:
            is_named = self.lock_file.is_file() and self.lock_file.stat().st_size > 0
            return is_named and self.owner is None
        except OSError:
            return False

    @classmethod
    def existing(cls, path: Path | str) -> "RunFolder":
        """The run folder at `path`.

        Raises:
            RunFolderError: there is none.
        """
        # Of a run behind a URL, what lies here is its working copy.
        folder = cls(
            working_copy(str(path)) if is_url(str(path)) else Path(os.path.expanduser(path))
        )
        if not os.path.isdir(folder.path):
            raise RunFolderError(f"{path}: no such run folder; {runs_near(folder.path)}")
        if not folder.journal.is_file() and folder.owner is not None:
            raise RunFolderError(
                f"{path}: a search is just starting in it; ask again in some seconds"
            )
        if not folder.journal.is_file():
            raise RunFolderError(f"{path}: not a run folder (no {folder.journal.name} in it)")
        return folder

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """`locked`, and a folder that was made for nothing is removed again: no study in it, no trace of it."""
        folders = (self.logs, self.path, *self.path.parents)
        made = [path for path in folders if not os.path.exists(path)]
        try:
            with self.locked():
                try:
                    yield
                finally:
                    # Still locked: another search that began meanwhile finds no half of a folder.
                    if self.path in made and not self.journal.exists():
                        shutil.rmtree(self.logs, ignore_errors=True)
                        self.run_file.unlink(missing_ok=True)
        finally:
            for path in made:
                with suppress(OSError):  # something else lies in it by now
                    path.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for one search; the operating system lets go of it when the process dies.

        Raises:
            RunFolderError: another search holds it (the message names its host and process), or it cannot be made.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            lock = open(self.lock_file, "a+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
        except OSError as cause:
            raise RunFolderError(
                f"{self.path}: cannot be made or written to ({cause.strerror}); choose another --out"
            ) from cause
        with lock as handle:
            if not _lock_exclusively(handle):
                handle.seek(0)
                owner = handle.read().strip() or "another process"
                raise RunFolderError(
                    f"{self.path}: a search is running in it ({owner}); wait for it, or end it: "
                    f"tuner stop {shlex.quote(str(self.path))}"
                )
            try:
                handle.truncate(0)
                handle.write(f"process {os.getpid()} on {socket.gethostname()}")
                handle.flush()
            except OSError as cause:
                self.lock_file.unlink(missing_ok=True)
                raise RunFolderError(
                    f"{self.path}: cannot be written to ({cause.strerror}); make room, or choose another --out"
                ) from cause
            self.stop_request.unlink(missing_ok=True)  # it was an earlier search's
            for half_written in self.path.glob(f".*{TEMPORARY}*"):  # by a search that was killed
                half_written.unlink(missing_ok=True)
            try:
                yield
            finally:
                handle.truncate(0)  # nobody's any more

    def adopt(self, fetched: Path) -> None:
        """Takes over the files of a copy of this run that was fetched from elsewhere.

        Raises:
            RunFolderError: `fetched` holds no run, or this folder another one, or one that went further.
        """
        theirs = RunFolder(fetched).journal
        if not theirs.is_file():
            raise RunFolderError(f"{fetched}: no run in it (no {theirs.name})")
        ours = self.journal.read_bytes() if self.journal.is_file() else b""
        if not theirs.read_bytes().startswith(whole_lines(ours)):
            raise RunFolderError(
                f"{self.path}: holds another run, or went on by itself; fetch into another --out"
            )
        with self.locked():
            for source in sorted(fetched.rglob("*")):
                target = self.path / source.relative_to(fetched)
                if source.is_file() and target != self.lock_file:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    write_bytes_atomically(target, source.read_bytes())

    def write_run_file(self, config: SearchConfig, data_fingerprint: str) -> None:
        """Records what was asked, resolved, so that `--config run.yaml` asks for it again."""
        content = config.model_dump(mode="json", exclude_none=True, exclude={"space"})
        # Absolute, so that `--config` continues the run from any folder.
        content["out"] = config.out if config.is_mirrored else os.path.abspath(self.path.parent)
        if config.storage_path is not None:
            content["storage_path"] = absolute(config.storage_path)
        if config.mlflow is not None:
            content["mlflow"] = tracking_uri(config.mlflow)
        if os.path.isfile(os.path.expanduser(config.data.source)):
            content["data"]["source"] = os.path.abspath(os.path.expanduser(config.data.source))
        created = (
            read_yaml(self.run_file, RunFolderError).get("created")
            if self.run_file.is_file()
            else None
        )
        record = {
            "space": config.space.to_mapping(),
            **content,
            "name": config.run_name,
            "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": installed_versions(),
            "fingerprint": fingerprint(config, data_fingerprint),
        }
        write_atomically(self.run_file, to_yaml(record))

    def check_same_search(self, config: SearchConfig, data_fingerprint: str) -> None:
        """Refuses to continue another search under this name.

        Raises:
            RunFolderError: the folder's space, objectives, data, epochs or seed are not those asked for.
        """
        if not self.run_file.is_file():
            return
        recorded = read_yaml(self.run_file, RunFolderError).get("fingerprint")
        if not isinstance(recorded, dict):
            raise RunFolderError(f"{self.run_file}: no fingerprint in it; choose another --name")
        asked = fingerprint(config, data_fingerprint)
        for part in dict.fromkeys((*asked, "objectives")):
            value = asked.get(part)
            if recorded.get(part) != value:
                other = {
                    "space": "another space",
                    "data": "other data, or another sample of them",
                    "objectives": f"objectives {recorded.get(part) or config.space.metric.name}, "
                    f"not {value or config.space.metric.name}",
                }.get(part, f"{part} {recorded.get(part)}, not {value}")
                raise RunFolderError(
                    f"{self.path}: belongs to a search with {other}; "
                    "choose another --name, or ask for the same to continue it"
                )

    def check_same_data(self, source: str, data_fingerprint: str) -> None:
        """Refuses data that has changed since the run learned from it.

        Raises:
            RunFolderError: it has.
        """
        recorded = read_yaml(self.run_file, RunFolderError).get("fingerprint")
        if not isinstance(recorded, dict) or recorded.get("data") != data_fingerprint:
            raise RunFolderError(
                f"{source}: is no longer what {self.path} learned from; bring the old rows back, "
                "or search again under another --name"
            )


def whole_lines(journal: bytes) -> bytes:
    """A journal without the half line at its end that a killed search, or a copy of a running one, may leave."""
    return journal[: journal.rfind(b"\n") + 1]


def _lock_exclusively(handle: IO[str]) -> bool:
    """Whether the file could be locked. Who only asks for the owner holds it for a moment, so it is tried again."""
    for attempt in range(_LOCK_ATTEMPTS):
        time.sleep(0.05 if attempt else 0.0)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False


def fingerprint(config: SearchConfig, data_fingerprint: str) -> dict[str, str | int]:
    """What must stay the same for trials to be comparable; budget and resources may change."""
    # Optuna refuses another order of choices, so that of the architectures counts; the description is but words.
    content = {**config.space.to_mapping(), "description": ""}
    space = json.dumps([list(config.space.architectures), content], sort_keys=True)
    return {
        "seed": config.seed,  # before the data: it also draws the splits
        "max_epochs": config.epochs,
        "trainer": str(config.trainer),
        "space": hashlib.sha256(space.encode()).hexdigest()[:16],
        "data": data_fingerprint,
        # Runs that were made before there were two have none either.
        **({"objectives": ",".join(config.objectives)} if config.objectives else {}),
    }


def installed_versions() -> Mapping[str, str]:
    """Of Python and of the packages that a run's figures may depend on."""
    versions = {"python": platform.python_version()}
    for package in _RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def runs_near(path: Path) -> str:
    """What to write instead of `path`, which is no run folder: the runs beside it and those in `runs`."""
    for folder in dict.fromkeys((Path("runs"), path.parent, path)):
        if not os.path.isdir(folder):
            continue
        runs = {journal.parent.name: journal.parent for journal in folder.glob("*/study.journal")}
        near = difflib.get_close_matches(path.name, runs, n=1)
        if near:
            return f"did you mean {runs[near[0]]}?"
        if runs:
            return f"write one of {', '.join(str(runs[name]) for name in sorted(runs)[:5])}"
    return "`tuner search` makes one"
