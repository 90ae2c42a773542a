"""Scratch folders are removed, also those of searches that were killed."""

import fcntl
import os
from pathlib import Path

from tuner.execution.scratch import scratch_folder


def make_folder(parent: Path, name: str, *, age_s: float) -> Path:
    folder = parent / name
    folder.mkdir()
    (folder / "tuner.lock").touch()
    changed = os.stat(folder / "tuner.lock").st_mtime - age_s
    os.utime(folder / "tuner.lock", (changed, changed))
    return folder


def test_a_folder_is_there_for_as_long_as_it_is_needed(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "big").write_text("x")
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_folders_of_killed_searches_are_removed_and_nothing_else(tmp_path: Path) -> None:
    make_folder(tmp_path, "tuner-dead", age_s=3600)
    new = make_folder(tmp_path, "tuner-new", age_s=0)
    alive = make_folder(tmp_path, "tuner-alive", age_s=3600)
    foreign = make_folder(tmp_path, "other-dead", age_s=3600)
    mine = tmp_path / "tuner-notes"
    mine.mkdir()
    with open(alive / "tuner.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(alive / "tuner.lock", (0, 0))
        with scratch_folder(tmp_path) as folder:
            assert set(tmp_path.iterdir()) == {new, alive, foreign, mine, folder}
