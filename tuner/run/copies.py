"""Copies of a run: files taken over from storage, or from a folder that was fetched from elsewhere.

Both write the journal last or whole, so that a run folder never holds half a study. Test evaluations are merged: one
that was made here is in no copy. A copy may come from anybody: plain files with plain names are taken, no links.
Must not import Ray, Keras or Optuna.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tuner.errors import RunFolderError, SearchError, UsageError
from tuner.files import TEMPORARY, write_bytes_atomically
from tuner.run.evaluations import merge_evaluations
from tuner.run.folder import RunFolder
from tuner.run.lock import locked
from tuner.run.run_file import remember_place
from tuner.settings.config import SearchConfig
from tuner.settings.data import DataConfig, data_mapping, is_data_file
from tuner.settings.yaml_files import read_yaml
from tuner.storage import FileChanged, Storage
from tuner.text import excerpt, one_line

_TRIES = 5  # to write to a file that others write, too


@contextmanager
def with_record(folder: RunFolder, config: SearchConfig) -> Iterator[RunFolder]:
    """The folder that holds a search's recorded settings: its own, or a temporary one where only its copy has them.

    The run folder is not claimed yet, so nothing is written there.

    Raises:
        ConfigError: the copy's storage cannot be reached, or a setting in its `run.yaml` is wrong.
        SearchError: the copy cannot be read.
    """
    content = None
    if config.is_mirrored and not folder.journal.is_file():
        storage = Storage(config.place)
        try:
            if folder.journal.name in storage.names(""):  # else the search has not begun
                content = storage.read(folder.run_file.name)
        except OSError as cause:
            raise SearchError(
                f"{config.place}: the run's copy cannot be read: {one_line(str(cause))}; the same command tries again"
            ) from cause
    if content is None:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        recorded = RunFolder(Path(temporary) / folder.name)
        recorded.path.mkdir()
        recorded.run_file.write_bytes(content)
        recorded.journal.touch()  # the copy's, which tells that the search has begun
        try:
            yield recorded
        except UsageError as cause:  # names the place that the person knows
            raise type(cause)(str(cause).replace(str(recorded.path), config.place)) from cause


def take_over(folder: RunFolder, storage: Storage) -> bool:
    """Writes the files of the run's copy in `storage`, the journal last; False where there is no such copy.

    Raises:
        OSError: the copy cannot be read.
    """
    journal = storage.read(folder.journal.name)
    if journal is None:
        return False
    bring_trial_models(folder, storage)
    merge_evaluations(folder, storage.read)
    models = [name for name in storage.names(folder.finalist_models.name) if name.endswith(".npz")]
    plain = [path.name for path in folder.result_files if path.parent == folder.path]
    others = {folder.journal.name, folder.tests.name}
    for name in (*models, *(name for name in plain if name not in others)):
        check_plain(name)
        content = storage.read(name)
        if content is not None:
            write_bytes_atomically(folder.path / name, content)
    write_bytes_atomically(folder.journal, journal)
    return True


def bring_trial_models(folder: RunFolder, storage: Storage) -> list[str]:
    """Writes the models of the search's best trials that the copy in `storage` has and the folder lacks.

    Returns:
        The names of all such models in the copy, relative to it.

    Raises:
        OSError: the copy cannot be read.
    """
    names = [name for name in storage.names(folder.trial_models.name) if name.endswith(".npz")]
    for name in names:
        check_plain(name)
        if not (folder.path / name).is_file():
            content = storage.read(name)
            if content is not None:
                write_bytes_atomically(folder.path / name, content)
    return names


def adopt(folder: RunFolder, fetched: Path) -> None:
    """Writes the files of the run in the folder `fetched`.

    Raises:
        RunFolderError: `fetched` holds no run, or `folder` holds another one, or one that went further.
    """
    theirs = RunFolder(fetched).journal
    if not theirs.is_file():
        raise RunFolderError(f"{fetched}: no run in it (no {theirs.name})")
    ours = folder.journal.read_bytes() if folder.journal.is_file() else b""
    if not theirs.read_bytes().startswith(whole_lines(ours)):
        raise RunFolderError(
            f"{folder.path}: holds another run, or has changed by itself; fetch into another --out"
        )
    sources = [each for each in _plain_files(fetched) if each.suffix != TEMPORARY]
    here = _data_file(folder)
    with locked(folder):
        merge_evaluations(folder, lambda name: _content(fetched / name))
        merged = {folder.tests, *(folder.test_classes / each.name for each in sources)}
        for source in sources:
            target = folder.path / source.relative_to(fetched)
            if target not in merged and target not in folder.of_processes:
                write_bytes_atomically(target, source.read_bytes())
        for model in folder.trial_models.glob("*.npz"):
            if not (RunFolder(fetched).trial_models / model.name).is_file():
                model.unlink()  # its trial has fallen out of the best
        if here is not None and _data_file(folder) is None:
            remember_place(folder, here)


def _data_file(folder: RunFolder) -> DataConfig | None:
    """The data of the run, by their recorded place, where they are a file that lies here."""
    if not folder.run_file.is_file():
        return None
    data = data_mapping(read_yaml(folder.run_file, RunFolderError).get("data"))
    if not isinstance(data, dict):
        return None
    places = {key: data[key] for key in ("source", "vectors") if isinstance(data.get(key), str)}
    is_here = "source" in places and is_data_file(places["source"])
    return DataConfig.model_validate(places) if is_here else None


def record_evaluations(folder: RunFolder, config: SearchConfig) -> None:
    """Writes the test log to the copy that the run has in storage, if it has one, joined with what is there.

    Raises:
        ConfigError, OSError: the storage cannot be reached or written.
    """
    if not config.is_mirrored or config.folder != folder.path:
        return
    storage = Storage(config.place)
    for attempt in range(_TRIES):
        version = storage.version(folder.tests.name)
        merge_evaluations(folder, storage.read)
        for path in sorted(folder.test_classes.glob("*.csv")):
            storage.write(path.relative_to(folder.path).as_posix(), path.read_bytes())
        try:
            storage.replace(folder.tests.name, folder.tests.read_bytes(), version)
            return
        except FileChanged:
            if attempt == _TRIES - 1:
                raise


def check_plain(name: str) -> None:
    """Refuses a file's name that leads out of its folder, or is not printable.

    Raises:
        RunFolderError: as above.
    """
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or not name.isprintable():
        raise RunFolderError(f"{excerpt(name)}: no file of a run is named so; nothing was taken")


def _plain_files(folder: Path) -> Iterator[Path]:
    """The files below `folder`, the journal last.

    Raises:
        RunFolderError: one is a link, a pipe or the like.
    """
    journal = RunFolder(folder).journal
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            mode = path.lstat().st_mode
            check_plain(path.relative_to(folder).as_posix())
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise RunFolderError(
                    f"{path.relative_to(folder)}: is a link or no plain file; nothing was taken"
                )
            if stat.S_ISREG(mode) and path != journal:
                yield path
    yield journal


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def whole_lines(journal: bytes) -> bytes:
    """A journal without a last line that has no end: a killed search, or a copy of a running one, may leave it."""
    return journal[: journal.rfind(b"\n") + 1]
