"""Who may write the copy of a run folder: one search at a time, by a lease."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest
from support.mirrored_machine import TROUBLES, Machine

from tuner.errors import RunFolderError, SearchError
from tuner.execution.mirror import StorageMirror
from tuner.run import lease as lease_module
from tuner.run.lease import LEASE, Pace, boot_id


def lease(copy: Path, **fields: object) -> None:
    copy.mkdir(exist_ok=True)
    (copy / LEASE).write_text(json.dumps({"owner": "process 7 on elsewhere", **fields}))


def test_a_search_that_runs_on_another_machine_is_respected(old: Machine, copy: Path) -> None:
    lease(copy, renewals=1)
    began = old.clock.now

    def renew() -> None:
        if old.clock.now > began + 10:
            lease(copy, renewals=2)

    old.clock.while_asleep = renew
    with pytest.raises(RunFolderError, match="a search is running in it"):
        old.mirror().take_up()


def test_a_lease_that_is_not_renewed_is_taken(old: Machine, copy: Path) -> None:
    lease(copy, renewals=1)
    began = old.clock.now
    old.mirror().take_up()
    assert 50 <= old.clock.now - began < 60


def test_of_two_that_take_it_in_the_same_moment_one_has_it(
    old: Machine, new: Machine, copy: Path
) -> None:
    refusals = []

    def take_it_too() -> None:
        old.clock.while_asleep = lambda: None
        with contextlib.suppress(RunFolderError):
            new.mirror().take_up()
            refusals.append("none")

    old.clock.while_asleep = take_it_too  # just after the first has written its lease
    with pytest.raises(RunFolderError, match="another search has just begun in it"):
        old.mirror().take_up()
    assert refusals == ["none"]


def test_a_search_whose_lease_was_taken_writes_no_more(
    old: Machine, new: Machine, copy: Path
) -> None:
    def search(mirror: StorageMirror) -> None:
        with mirror.holding():
            lease(copy, token="another's")  # it was silent for too long
            (copy / "study.journal").write_text("theirs\n")
            mirror.copy_if_due(TROUBLES)
            mirror._copying.exception()
            old.clock.now += 60
            mirror.copy_if_due(TROUBLES)

    old.write("1\n")
    mirror = old.mirror()
    mirror.take_up()
    with pytest.raises(SearchError, match="another search has taken this run over"):
        search(mirror)
    assert (copy / "study.journal").read_text() == "theirs\n"
    assert "another's" in (copy / LEASE).read_text()


def test_a_search_whose_successor_has_ended_writes_no_more(
    old: Machine, new: Machine, copy: Path
) -> None:
    def search(mirror: StorageMirror) -> None:
        with mirror.holding():
            successor = new.mirror()
            (copy / LEASE).unlink()  # after this one was silent for too long
            successor.take_up()
            new.write("1\n2 by the other\n")
            with successor.holding():
                pass
            assert not (copy / LEASE).exists()
            old.write("1\n2 by this one\n")
            mirror.copy_if_due(TROUBLES)
            mirror._copying.exception()
            old.clock.now += 60
            mirror.copy_if_due(TROUBLES)

    old.write("1\n")
    mirror = old.mirror()
    mirror.take_up()
    mirror._copy(mirror._changes())
    with pytest.raises(SearchError, match=r"another search has taken this run over \(its"):
        search(mirror)
    assert (copy / "study.journal").read_text() == "1\n2 by the other\n"
    assert not (copy / LEASE).exists()


def test_a_copy_of_other_entries_is_not_overwritten_although_the_lease_is_held(
    old: Machine, copy: Path
) -> None:
    old.write("1\n2\n")
    mirror = old.mirror()
    mirror.take_up()
    copy.mkdir(exist_ok=True)
    (copy / "study.journal").write_text("1\n3\n")
    with (
        pytest.raises(SearchError, match=r"taken this run over .its journal has other entries"),
        mirror.holding(),
    ):
        pass
    assert (copy / "study.journal").read_text() == "1\n3\n"
    assert not (copy / "run.yaml").exists()


def test_a_lease_is_renewed_while_the_search_runs(
    old: Machine, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(renew_s=0.01, watch_s=50.0, settle_s=1.0)
    monkeypatch.setattr(lease_module, "_OF_COPIES", pace)
    mirror = old.mirror()
    mirror.take_up()
    with mirror.holding():
        first = (copy / LEASE).read_text()
        until = time.monotonic() + 10
        while (copy / LEASE).read_text() == first:
            assert time.monotonic() < until
    assert not (copy / LEASE).exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of Python 3.12, with threads
def test_a_search_that_died_on_this_machine_blocks_no_other(old: Machine, copy: Path) -> None:
    process = os.fork()
    if not process:
        os._exit(0)
    os.waitpid(process, 0)
    lease(copy, owner=f"process {process} on here", boot=boot_id())
    began = old.clock.now
    old.mirror().take_up()
    assert old.clock.now - began < 5


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_an_unreadable_lease_blocks_no_search_for_long(
    old: Machine, copy: Path, content: str
) -> None:
    copy.mkdir()
    (copy / LEASE).write_text(content)
    old.mirror().take_up()
