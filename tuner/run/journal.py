"""The journal of a run: the file that Optuna keeps its studies in. Opens it, mends a torn end, refuses damage.

One entry per line, only ever appended. It holds the study of the search and, after `tuner confirm`, that of the
finalists. A search whose space was widened has both once more, in terms of the wider space, `tuner 2` and
`confirmation 2`; the latest count. Must not import Ray or Keras.
"""

import io
import json
import os
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from tuner.errors import JournalLost, RunFolderError
from tuner.run.attributes import Attribute
from tuner.run.optuna_internals import JournalReplay, lock_of
from tuner.run.study_records import REMEDY
from tuner.text import one_line

SEARCH = "tuner"  # the name of the search's study, and how those of its wider spaces begin
CONFIRMATION = "confirmation"  # that of the finalists' study, in the same way
NO_STUDY = "holds no study of tuner; search again under another --name"


class _Backend(JournalFileBackend):
    """Optuna's backend, except that a failed append ends the session: it may leave half a line, or begin a new file."""

    def __init__(self, file_path: str) -> None:
        # Optuna's other lock needs symbolic links, which USB drives, some mounts and containers have not.
        super().__init__(file_path, lock_obj=JournalFileOpenLock(file_path))
        self._path = file_path
        self._inode = os.stat(file_path).st_ino

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """The entries from one on.

        Raises:
            JournalLost: the file is gone.
        """
        self._check_is_there()
        return super().read_logs(log_number_from)

    def _check_is_there(self) -> None:
        try:
            is_same = os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise JournalLost(f"{self._path}: was removed or replaced while it was in use")

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Appends entries.

        Raises:
            JournalLost: the disk is full, or the file is gone.
        """
        self._check_is_there()
        try:
            super().append_logs(logs)
        except OSError as cause:
            raise JournalLost(
                f"the journal cannot be written: {one_line(str(cause))}; finished trials are kept, "
                "the same command continues"
            ) from cause


class _ReadOnlyBackend(_Backend):
    """Refuses to append: for readers of a search that runs."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuses.

        Raises:
            RunFolderError: always.
        """
        raise RunFolderError(f"{self._path}: was opened for reading only")


def open_journal(path: Path, *, read_only: bool = False) -> JournalStorage:
    """The storage that reads and appends to the journal at `path`; an empty one is made where there is none.

    A last line without an end is passed over: another process may be writing it.

    Raises:
        RunFolderError: a line is damaged; the message names it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return JournalStorage((_ReadOnlyBackend if read_only else _Backend)(str(path)))
    except OSError:
        raise
    except Exception as cause:  # Optuna replays whatever stands there, and stumbles in many ways
        raise RunFolderError(_diagnosis(path)) from cause


def study_in(storage: JournalStorage, name: str) -> optuna.Study | None:
    """The study called `name` in an open journal; None where there is none."""
    names = [study.study_name for study in storage.get_all_studies()]
    return optuna.load_study(study_name=name, storage=storage) if name in names else None


def search_in(storage: JournalStorage) -> optuna.Study | None:
    """The search's study in an open journal, in its widest space; None where there is none.

    One without a space is not whole: the search was killed while it made it.
    """
    spaces = [
        _number(each.study_name, SEARCH)
        for each in storage.get_all_studies()
        if Attribute.SPACE in each.user_attrs
    ]
    return study_in(storage, name_in_space(SEARCH, max(spaces, default=1)))


def confirmation_in(storage: JournalStorage, search: optuna.Study) -> optuna.Study | None:
    """The study of the finalists, in the same space as the search's."""
    return study_in(storage, name_in_space(CONFIRMATION, number_of_space(search)))


def is_confirmation(study: optuna.Study) -> bool:
    """Whether it is a study of finalists."""
    return _number(study.study_name, CONFIRMATION) > 0


def number_of_space(search: optuna.Study) -> int:
    """Whose study it is: 1 of the search's first space, 2 of the first wider one."""
    return _number(search.study_name, SEARCH)


def name_in_space(name: str, number: int) -> str:
    """The name of a study in the search's first space, or a wider one."""
    return name if number == 1 else f"{name} {number}"


def _number(study: str, name: str) -> int:
    """See `number_of_space`; 0 of a study with another name."""
    if study == name:
        return 1
    number = study.removeprefix(f"{name} ")
    return int(number) if number != study and number.isdecimal() else 0


def mend_end(path: Path) -> None:
    """Readies the journal at `path` for appending: cuts off a torn line and removes a dead writer's lock.

    The caller holds the run folder's lock, so no writer lives.

    Raises:
        RunFolderError: the last line has an end and is damaged all the same. Optuna would pass over it, and break
            on it once another line follows.
    """
    trim_torn_line(path)
    lock_of(path).unlink(missing_ok=True)
    if not _is_entry(_last_line(path)):
        raise RunFolderError(_diagnosis(path))


def trim_torn_line(journal: Path) -> int:
    """Removes a last line that its writer did not finish; returns its number of bytes.

    Optuna opens such a journal and breaks at the next append, which continues on the torn line
    (https://github.com/optuna/optuna/issues/5138).
    """
    with open(journal, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        end = _end_of_line_before(file, size)
        if end < size:
            file.truncate(end)
        return size - end


def _last_line(journal: Path) -> bytes:
    with open(journal, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(_end_of_line_before(file, max(0, size - 1)))
        return file.read()


def _end_of_line_before(file: io.BufferedRandom | io.BufferedReader, position: int) -> int:
    """Where the last line that ends before `position` ends; 0 where none does."""
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def _is_entry(line: bytes) -> bool:
    if not line:
        return True
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _diagnosis(path: Path) -> str:
    """The error that names the first damaged line and the remedy."""
    replay = JournalReplay()
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                replay.apply(json.loads(line))
            except Exception as cause:
                return (
                    f"{path}: line {number} is damaged ({one_line(repr(cause))[:80]}); "
                    f"{_remedy(path, before=number - 1)}"
                )
    return f"{path}: not an Optuna journal; {_remedy(path, before=0)}"


def _remedy(path: Path, *, before: int) -> str:
    """The advice for a journal of which only so many lines are whole."""
    if not before:
        return REMEDY
    name, damaged = shlex.quote(str(path)), shlex.quote(f"{path}.damaged")
    return (
        "restore it from a backup, or keep what stands before: "
        f"cp {name} {damaged} && head -n {before} {damaged} > {name}"
    )
