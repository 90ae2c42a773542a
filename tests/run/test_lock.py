"""The lock of a run folder: one search at a time, and a folder that was made for nothing is removed again."""

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.run_files import files_below

from tuner.errors import JournalLost, RunFolderError
from tuner.execution.interrupts import InterruptFlag, StopRequested
from tuner.run import lease as lease_module
from tuner.run import lock as lock_module
from tuner.run.folder import RunFolder
from tuner.run.lease import Pace
from tuner.run.lock import claimed, is_abandoned, locked, owner_of
from tuner.storage import Storage

_HOLD = """
import sys
from pathlib import Path
from tuner.run.folder import RunFolder
from tuner.run.lock import locked
with locked(RunFolder(Path(sys.argv[1]))):
    print("locked", flush=True)
    sys.stdin.read()
"""
REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def held_by_another_process(folder: Path, script: str = _HOLD) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_file_system_without_locks_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = RunFolder(tmp_path / "runs" / "r")
    with (
        pytest.raises(RunFolderError, match=r"locks no files .*; choose an --out on a local disk"),
        claimed(folder),
    ):
        pass
    assert files_below(tmp_path) == {}


def test_a_lock_that_fails_for_a_moment_leaves_the_file_of_a_running_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = RunFolder(tmp_path / "r")
    folder.logs.mkdir(parents=True)
    folder.lock_file.write_text("process 1 on elsewhere")
    with pytest.raises(RunFolderError, match=r"locks no files"), claimed(folder):
        pass
    assert folder.lock_file.read_text() == "process 1 on elsewhere"


# -- file systems that show a lock to one host alone -----------------------------------------------

_HOLD_ON_ANOTHER_HOST = """
import fcntl, socket, sys, time
from pathlib import Path
from tuner.errors import JournalLost
from tuner.run import lease, lock
from tuner.run.folder import RunFolder
fcntl.flock = lambda *_: None  # each host locks the file by itself
socket.gethostname = lambda: "elsewhere"
lease.boot_id = lock.kernel_id = lambda: "another"
lock._PACE = lease.Pace(renew_s=0.05, watch_s=1.0, settle_s=0.0)
with lock.locked(RunFolder(Path(sys.argv[1]))) as claim:
    print("locked", flush=True)
    try:
        while True:
            time.sleep(0.01)
            claim.check()
    except JournalLost as torn:
        print(torn, flush=True)
"""


@pytest.fixture
def shared_without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders seem to lie on a file system that this host shares, and on which it sees its own locks only."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(lock_module, "_PACE", Pace(renew_s=0.05, watch_s=1.0, settle_s=0.0))
    monkeypatch.setattr(lease_module, "_POLL_S", 0.05)


@pytest.fixture
def of_dead_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run folder whose search died on another host, which the next search sees after a moment."""
    monkeypatch.setattr(lock_module, "_PACE", Pace(renew_s=5.0, watch_s=0.05, settle_s=0.0))
    monkeypatch.setattr(lease_module, "_POLL_S", 0.05)
    folder = RunFolder(tmp_path / "run")
    folder.logs.mkdir(parents=True)
    folder.lease.write_text('{"owner": "process 1 on elsewhere", "boot": "another", "lock": null}')
    return folder


@pytest.mark.usefixtures("shared_without_locks")
def test_a_search_on_another_host_is_respected_where_locks_do_not_show_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path, _HOLD_ON_ANOTHER_HOST) as process:
        owner = f"process {process.pid} on elsewhere"
        assert owner_of(folder) == owner
        with (
            pytest.raises(RunFolderError, match=rf"run: a search is running in it \({owner}\)"),
            claimed(folder),
        ):
            pytest.fail("two searches in one folder")
        assert f"its last search ({owner}) has not ended by itself" in capsys.readouterr().err
        assert folder.lock_file.read_text() == owner
        assert folder.lease.is_file()


def test_a_request_to_stop_an_earlier_search_does_not_end_one_that_watches_its_lease(
    of_dead_search: RunFolder,
) -> None:
    of_dead_search.stop_request.touch()
    with locked(of_dead_search, InterruptFlag(of_dead_search.stop_request).check):
        assert not of_dead_search.stop_request.exists()


def test_a_search_that_watches_the_lease_of_an_earlier_one_can_be_stopped(
    of_dead_search: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `tuner stop` does, again and again.
    monkeypatch.setattr(lock_module, "_tell", lambda _: of_dead_search.stop_request.touch())
    with (
        pytest.raises(StopRequested, match=r"^$"),
        locked(of_dead_search, InterruptFlag(of_dead_search.stop_request).check),
    ):
        pytest.fail("it was asked to end")


@pytest.mark.slow
@pytest.mark.usefixtures("shared_without_locks")
def test_a_search_that_another_host_took_over_while_it_was_suspended_writes_no_more(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path, _HOLD_ON_ANOTHER_HOST) as process:
        process.send_signal(signal.SIGSTOP)
        with locked(folder) as claim:
            process.send_signal(signal.SIGCONT)
            assert process.stdout is not None
            taken = f"a search on another host has taken this run over \\(process {os.getpid()} on"
            assert re.search(taken, process.stdout.readline())
            process.wait()
            claim.confirm()  # it removed nothing in its end
            assert (
                folder.lock_file.read_text() == f"process {os.getpid()} on {socket.gethostname()}"
            )
    assert not folder.lease.exists()


@pytest.mark.usefixtures("shared_without_locks")
def test_of_two_hosts_that_claim_the_folder_at_the_same_moment_one_goes_on(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    read = Storage.read
    with locked(folder) as first, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Storage, "read", lambda *_: None)  # before the first lease is seen
        second = locked(folder)
        claim = second.__enter__()
        patch.setattr(Storage, "read", read)
        claim.confirm()
        with pytest.raises(JournalLost, match="has taken this run over"):
            first.confirm()
        second.__exit__(None, None, None)


def test_a_search_that_died_in_another_container_of_this_machine_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path) as process:
        monkeypatch.setattr(lease_module, "boot_id", lambda: "another container")
        process.kill()
        process.wait()
        assert owner_of(folder) is None
        with locked(folder):
            pass
    assert capsys.readouterr().err == ""


def test_a_search_that_ends_leaves_no_lease(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with locked(folder):
        assert folder.lease.is_file()
        (folder.logs / "searching.3f2a.part").touch()
    with locked(folder):
        pass
    assert {path.name for path in folder.logs.iterdir()} == {"lock"}


# -- locking --------------------------------------------------------------------------------------


def test_a_second_search_is_refused_with_the_name_of_the_first(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path) as process:
        before = files_below(tmp_path)
        with (
            pytest.raises(
                RunFolderError,
                match=rf"run: a search is running in it \(process {process.pid} on \S+\); wait for it",
            ),
            claimed(folder),
        ):
            pytest.fail("two searches in one folder")
        assert files_below(tmp_path) == before


def test_the_lock_of_a_dead_process_does_not_block(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with locked(folder):
            owner = (folder.logs / "lock").read_text()
    assert owner.startswith(f"process {os.getpid()} on ")


def test_the_lock_is_released_when_a_search_ends(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for _ in range(2):
        with locked(folder), pytest.raises(RunFolderError, match="a search is running in it"):
            locked(folder).__enter__()


@pytest.mark.slow
def test_a_dead_process_leaves_an_abandoned_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not is_abandoned(folder)
    with held_by_another_process(folder.path) as process:
        assert owner_of(folder) == f"process {process.pid} on {socket.gethostname()}"
        assert not is_abandoned(folder)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert owner_of(folder) is None
        assert is_abandoned(folder)
    with locked(folder):
        pass
    assert not is_abandoned(folder)


# -- claiming -------------------------------------------------------------------------------------


class RefusedError(Exception):
    """Stands for any error that stops a search before its first trial."""


def claim_and_fail(folder: RunFolder, *made: str) -> None:
    with suppress(RefusedError), claimed(folder):
        for name in made:
            (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.path / name).write_text("x")
        raise RefusedError


def test_a_folder_made_for_nothing_is_removed_with_the_parents_it_made(tmp_path: Path) -> None:
    claim_and_fail(RunFolder(tmp_path / "a" / "b" / "run"), "run.yaml", "logs/driver.log")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_study_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "run")
    claim_and_fail(folder, "study.journal", "run.yaml")
    assert folder.journal.is_file()
    assert folder.run_file.is_file()


def test_files_that_were_in_the_folder_before_stay(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    claim_and_fail(RunFolder(tmp_path / "run"))
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_files_that_another_process_added_stay(tmp_path: Path) -> None:
    claim_and_fail(
        RunFolder(tmp_path / "runs" / "run"), "notes.txt", "../other/journal", "run.yaml"
    )
    assert set(files_below(tmp_path)) == {
        "runs",
        "runs/run",
        "runs/run/notes.txt",
        "runs/other",
        "runs/other/journal",
    }


def test_two_searches_that_make_the_folder_at_once_do_not_remove_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    exists = os.path.exists
    with claimed(folder):
        # As the second one saw it, a moment before the first one made the folder.
        monkeypatch.setattr(
            lock_module.os.path, "exists", lambda path: exists(path) and path != folder.path
        )
        with pytest.raises(RunFolderError, match="a search is running"), claimed(folder):
            pytest.fail("two searches in one folder")
        assert (folder.logs / "lock").is_file()
        folder.journal.touch()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("file", "Not a directory"), ("file/run", "Not a directory"), ("a/" + "x" * 300, "too long")],
)
def test_a_folder_that_cannot_be_made_is_refused_and_leaves_nothing(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").write_text("mine")
    message = rf"cannot be made or written to \(.*({reason}|File exists).*\); choose another --out"
    with pytest.raises(RunFolderError, match=message), claimed(RunFolder(tmp_path / name)):
        pytest.fail("a run folder in a file")
    assert files_below(tmp_path) == {"file": b"mine"}
