"""Copies of a run: files taken over from storage, or from a folder that was fetched from elsewhere.

Both write the journal last or whole, so that a run folder never holds half a study. Must not import Ray, Keras or
Optuna.
"""

from pathlib import Path

from tuner.errors import RunFolderError
from tuner.files import write_bytes_atomically
from tuner.run.folder import RunFolder
from tuner.run.lock import locked
from tuner.storage import Storage


def take_over(folder: RunFolder, storage: Storage) -> bool:
    """Writes the files of the run's copy in `storage`, the journal last; False where there is no such copy.

    Raises:
        OSError: the copy cannot be read.
    """
    journal = storage.read(folder.journal.name)
    if journal is None:
        return False
    bring_trial_models(folder, storage)
    below = [
        name
        for part in (folder.finalist_models, folder.test_classes)
        for name in storage.names(part.name)
        if name.endswith((".npz", ".csv"))
    ]
    plain = [path.name for path in folder.result_files if path.parent == folder.path]
    for name in (*below, *(name for name in plain if name != folder.journal.name)):
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
    with locked(folder):
        for source in sorted(fetched.rglob("*")):
            target = folder.path / source.relative_to(fetched)
            if source.is_file() and target != folder.lock_file:
                write_bytes_atomically(target, source.read_bytes())
        for model in folder.trial_models.glob("*.npz"):
            if not (RunFolder(fetched).trial_models / model.name).is_file():
                model.unlink()  # its trial has fallen out of the best


def whole_lines(journal: bytes) -> bytes:
    """A journal without a last line that has no end: a killed search, or a copy of a running one, may leave it."""
    return journal[: journal.rfind(b"\n") + 1]
