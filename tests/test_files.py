"""Atomic writes and locks of files (`tuner/files.py`)."""

import errno
import os
import pwd
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.run_files import files_below

from tuner.files import (
    atomic_file,
    cache_root,
    has_home,
    lock_file,
    replace_folder,
    substitute_home,
    write_atomically,
)


def test_a_file_is_written_as_it_is_with_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "board.csv"
    write_atomically(path, "好,1\r\n")
    write_atomically(path, "better,2\r\n")
    assert files_below(path.parent) == {"board.csv": b"better,2\r\n"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "board.csv"
    write_atomically(path, "old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(path, "new and longer")
    monkeypatch.undo()
    assert files_below(tmp_path) == {"board.csv": b"old"}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files and folders that are brought to the disk or renamed, in order."""
    noted: list[str] = []
    fsync = os.fsync

    def note_fsync(handle: int) -> None:
        noted.append(f"sync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def noting(rename: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def note(old: Path, new: Path) -> None:
            noted.append(f"rename to {new.name}")
            rename(old, new)

        return note

    monkeypatch.setattr(os, "fsync", note_fsync)
    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    return noted


def test_the_new_name_is_on_the_disk_before_a_write_ends(tmp_path: Path, steps: list[str]) -> None:
    write_atomically(tmp_path / "tests.yaml", "new")
    written, *rest = steps
    assert written.startswith("sync .tests.yaml.")
    assert rest == ["rename to tests.yaml", f"sync {tmp_path.name}"]


def test_the_names_of_new_folders_are_on_the_disk_as_well(tmp_path: Path, steps: list[str]) -> None:
    write_atomically(tmp_path / "runs" / "x" / "trial.npz", "new")
    assert steps[:2] == [f"sync {tmp_path.name}", "sync runs"]
    assert steps[-1] == "sync x"


def test_a_folder_is_on_the_disk_before_it_replaces_another_one(
    tmp_path: Path, steps: list[str]
) -> None:
    made, out = tmp_path / "made", tmp_path / "model"
    for folder in (made / "member", out):
        folder.mkdir(parents=True)
    (made / "model.json").write_text("new")
    (made / "member" / "weights").write_text("new")
    replace_folder(made, out, tmp_path / "replaced")
    assert sorted(steps[:4]) == ["sync made", "sync member", "sync model.json", "sync weights"]
    assert steps[4:] == ["rename to replaced", "rename to model", f"sync {tmp_path.name}"]
    assert (out / "member" / "weights").read_text() == "new"


def test_a_folder_that_cannot_be_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, out = tmp_path / "made", tmp_path / "model"
    made.mkdir()
    write_atomically(out / "model.json", "old")
    rename = os.rename

    def refuse(old: Path, new: Path) -> None:
        if old == made:
            raise OSError(28, "No space left on device")
        rename(old, new)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        replace_folder(made, out, tmp_path / "replaced")
    assert (out / "model.json").read_text() == "old"


def test_a_signal_between_the_two_renames_loses_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, out = tmp_path / "made", tmp_path / "model"
    made.mkdir()
    write_atomically(out / "model.json", "old")
    rename = os.rename

    def interrupt(old: Path, new: Path) -> None:
        rename(old, new)
        if old == out:
            raise KeyboardInterrupt("now")

    monkeypatch.setattr(os, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt, match="now"):
        replace_folder(made, out, tmp_path / "replaced")
    assert (out / "model.json").read_text() == "old"


def test_a_file_system_that_cannot_sync_folders_takes_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    write_atomically(tmp_path / "board.csv", "new")
    assert (tmp_path / "board.csv").read_text() == "new"


def test_a_write_that_a_signal_interrupts_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt("now")

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt, match="now"):
        write_atomically(tmp_path / "board.csv", "new")
    assert files_below(tmp_path) == {}


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.csv"
    write_atomically(path, "old")
    seen = []
    replace = os.replace
    monkeypatch.setattr(
        os,
        "replace",
        lambda *paths: (seen.append(path.read_text()), replace(*paths)),
    )
    write_atomically(path, "new")
    assert (seen, path.read_text()) == (["old"], "new")


def test_text_that_utf_8_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_atomically(tmp_path / "board.csv", "x\udc80y")
    assert (tmp_path / "board.csv").read_text(encoding="utf-8") == r"x\udc80y"


def test_a_file_that_a_block_writes_replaces_the_old_one_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("old")
    with atomic_file(path) as temporary:
        with open(temporary, "a") as file:
            file.write("one,")
        temporary.write_text(temporary.read_text() + "two")
        assert path.read_text() == "old"
    assert files_below(tmp_path) == {"board.csv": b"one,two"}


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "board.csv"
    path.write_text("old")
    with pytest.raises(TypeError, match="data must be str"), atomic_file(path) as temporary:
        temporary.write_text("half a fi") and temporary.write_text(None)  # type: ignore[arg-type]
    assert files_below(tmp_path) == {"board.csv": b"old"}


def test_a_mounted_file_which_cannot_be_replaced_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.csv"
    path.write_text("old and longer")

    def busy(*paths: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    inode = path.stat().st_ino
    write_atomically(path, "new")
    assert files_below(tmp_path) == {"board.csv": b"new"}
    assert path.stat().st_ino == inode


def test_a_folder_that_is_not_there_is_not_made_by_a_block(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="new"), atomic_file(tmp_path / "new" / "a.csv"):
        pytest.fail("there is no such folder")


def test_permissions_are_those_of_the_file_that_is_replaced_or_of_any_new_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "usual").write_text("")
    (tmp_path / "secret").write_text("")
    (tmp_path / "secret").chmod(0o600)
    write_atomically(tmp_path / "secret", "new")
    write_atomically(tmp_path / "new", "new")
    mode = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert mode == {"usual": mode["usual"], "secret": 0o600, "new": mode["usual"]}


def test_nobody_else_can_read_a_private_file_while_it_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("")
    path.chmod(0o600)
    with atomic_file(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600


def test_a_locked_file_is_refused_to_others_and_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("mine")
    with open(tmp_path / "lock", "r+") as first, open(tmp_path / "lock", "r+") as second:
        assert lock_file(first)
        assert not lock_file(second)
        assert not lock_file(second, shared=True, wait_s=0.06)
        assert second.read() == "mine"
    with open(tmp_path / "lock", "r+") as third:
        assert lock_file(third)


def test_any_number_may_ask_at_once_whether_a_file_is_locked(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "w") as first, open(tmp_path / "lock") as second:
        assert lock_file(first, shared=True)
        assert lock_file(second, shared=True)


def test_a_user_without_a_home_has_a_cache_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "TUNER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert not has_home()
    assert cache_root().parent == substitute_home()
    assert substitute_home().parent == tmp_path
    assert stat.S_IMODE(substitute_home().stat().st_mode) == 0o700
