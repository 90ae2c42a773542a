"""The copy of a run folder behind a URL."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.watching import Clock

from tuner.data import load_dataset
from tuner.errors import RunFolderError, SearchError
from tuner.execution import mirror as mirror_module
from tuner.execution.mirror import NoMirror, StorageMirror, mirror_of
from tuner.execution.plan import EndReason
from tuner.execution.search import run_search
from tuner.finalists.confirmation import run_confirmation
from tuner.finalists.ranking import read_finalists
from tuner.finalists.request import Request, confirmation_config
from tuner.run import Run
from tuner.run import lease as lease_module
from tuner.run.events import SilentListener
from tuner.run.folder import RunFolder
from tuner.run.lease import LEASE, Pace, boot_id
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.storage import Storage


class _Troubles:
    """Remembers what was noted."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str | None]] = []

    def note(self, topic: str, reason: str | None) -> None:
        self.noted.append((topic, reason))


TROUBLES: Any = _Troubles()


class Machine:
    """A host with its run folder, the copy, and a clock that moves with every sleep."""

    def __init__(self, path: Path, place: str) -> None:
        self.folder = RunFolder(path)
        self.place = place
        self.clock = Clock(1000.0)
        path.mkdir(exist_ok=True)
        self._mirrors: list[StorageMirror] = []

    def mirror(self) -> StorageMirror:
        storage = Storage(self.place)
        mirror = StorageMirror(
            self.folder, storage, lambda: None, clock=self.clock, sleep=self.clock.sleep
        )
        self._mirrors.append(mirror)
        return mirror

    def end(self) -> None:
        """As the end of its process: nothing renews a lease, nor gives one up."""
        for mirror in self._mirrors:
            mirror._lease._is_over.set()
            if mirror._lease._renewing.is_alive():
                mirror._lease._renewing.join()

    def write(self, journal: str) -> None:
        self.folder.journal.write_text(journal)
        self.folder.run_file.write_text(f"run of {len(journal)}")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def old(tmp_path: Path, copy: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "old", f"file://{copy}")
    yield machine
    machine.end()


@pytest.fixture
def new(tmp_path: Path, copy: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "new", f"file://{copy}")
    yield machine
    machine.end()


def test_another_machine_goes_on_from_the_copy(old: Machine, new: Machine) -> None:
    old.write("1\n2\n")
    with old.mirror().holding():
        pass
    new.mirror().take_up()
    assert new.folder.journal.read_text() == "1\n2\n"
    assert new.folder.run_file.read_text() == "run of 4"


def test_models_of_trials_follow_to_the_copy_and_go_when_their_trials_fall_out(
    old: Machine, new: Machine, copy: Path
) -> None:
    def models(folder: Path) -> set[str]:
        return {path.name for path in (folder / "trials").glob("*")}

    old.write("1\n")
    old.folder.trial_models.mkdir()
    for number in (1, 2):
        old.folder.trial_model(number).write_text(f"weights of {number}")
    mirror = old.mirror()
    with mirror.holding():
        mirror.copy_if_due(TROUBLES)
        mirror._copying.result()
        assert models(copy) == {"trial-1.npz", "trial-2.npz"}
        old.write("1\n2\n")
        old.folder.trial_model(3).write_text("weights of 3")
        old.folder.trial_model(1).unlink()
    assert models(copy) == {"trial-2.npz", "trial-3.npz"}
    # A machine that was killed between the two steps leaves a model too many; the next one puts that in order.
    (copy / "trials" / "trial-1.npz").write_text("weights of 1")
    mirror = new.mirror()
    mirror.take_up()
    assert new.folder.trial_model(3).read_text() == "weights of 3"
    new.folder.trial_model(1).unlink()  # as the search does when it opens the study
    with mirror.holding():
        pass
    assert models(copy) == {"trial-2.npz", "trial-3.npz"}


def test_models_that_this_machine_lost_come_back_from_the_copy(old: Machine, copy: Path) -> None:
    old.write("1\n")
    old.folder.trial_models.mkdir()
    old.folder.trial_model(1).write_text("weights of 1")
    with old.mirror().holding():
        pass
    old.folder.trial_model(1).unlink()
    mirror = old.mirror()
    mirror.take_up()
    with mirror.holding():
        pass
    assert old.folder.trial_model(1).read_text() == "weights of 1"
    assert (copy / "trials" / "trial-1.npz").is_file()


def test_only_changed_files_are_copied_and_not_all_the_time(
    old: Machine, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    original = Storage.write

    def write(self: Storage, name: str, content: bytes) -> None:
        written.append(name)
        original(self, name, content)

    monkeypatch.setattr(Storage, "write", write)
    old.write("1\n")
    mirror = old.mirror()
    with mirror.holding():
        mirror.copy_if_due(TROUBLES)
        mirror._copying.result()
        assert written == ["run.yaml", "study.journal"]  # the journal after the others
        old.clock.now += 1
        old.write("1\n2\n")
        mirror.copy_if_due(TROUBLES)
        assert (copy / "study.journal").read_text() == "1\n"
        old.clock.now += 30
        old.folder.journal.write_text("1\n2\n3\n")
        mirror.copy_if_due(TROUBLES)
        mirror._copying.result()
        assert (copy / "study.journal").read_text() == "1\n2\n3\n"
    assert not (copy / LEASE).exists()


def test_the_last_changes_are_copied_in_the_end_also_when_the_search_breaks(
    old: Machine, copy: Path
) -> None:
    def search(mirror: StorageMirror) -> None:
        with mirror.holding():
            mirror.copy_if_due(TROUBLES)
            old.write("1\n2\n")
            raise ValueError("broke")

    old.write("1\n")
    with pytest.raises(ValueError, match="broke"):
        search(old.mirror())
    assert (copy / "study.journal").read_text() == "1\n2\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "after"),
    [
        ("1\n2\n3\n", "1\n2\n", "1\n2\n3\n"),  # our last seconds were never copied
        ("1\n", "1\n2\n", "1\n2\n"),  # another machine went on
        ("1\n2", "1\n2\n3\n", "1\n2\n3\n"),
        ("1\nhal", "1\n2\n", "1\n2\n"),  # and here the search was killed as it wrote
        ("1\n2\n", "1\nhal", "1\n2\n"),
    ],
)
def test_the_longer_one_of_folder_and_copy_counts(
    old: Machine, copy: Path, ours: str, theirs: str, after: str
) -> None:
    old.write(ours)
    copy.mkdir()
    (copy / "study.journal").write_text(theirs)
    old.mirror().take_up()
    assert old.folder.journal.read_text() == after


def test_a_folder_and_a_copy_that_both_changed_are_refused(old: Machine, copy: Path) -> None:
    old.write("1\n2\n")
    copy.mkdir()
    (copy / "study.journal").write_text("1\n3\n")
    with pytest.raises(RunFolderError, match=f"has changed, and so has its copy in file://{copy}"):
        old.mirror().take_up()
    assert old.folder.journal.read_text() == "1\n2\n"


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


def test_a_last_copy_that_makes_progress_may_take_long(
    old: Machine, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Storage.write

    def write_slowly(self: Storage, name: str, content: bytes) -> None:
        time.sleep(0.3)
        original(self, name, content)

    monkeypatch.setattr(Storage, "write", write_slowly)
    monkeypatch.setattr(mirror_module, "_LAST_COPY_S", 0.5)
    monkeypatch.setattr(mirror_module, "_POLL_S", 0.05)
    old.write("1\n")
    old.folder.finalist_models.mkdir()
    for number in range(3):
        old.folder.finalist_model(number, 0).write_bytes(b"weights")
    with old.mirror().holding():
        pass
    assert (copy / "study.journal").read_text() == "1\n"


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


def test_storage_that_fails_does_not_stop_the_search_but_is_reported_in_the_end(
    old: Machine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: Storage, name: str, content: bytes) -> None:
        raise OSError("access denied")

    def search(mirror: StorageMirror) -> None:
        with mirror.holding():
            mirror.copy_if_due(TROUBLES)
            mirror._copying.exception()
            old.clock.now += 60
            mirror.copy_if_due(TROUBLES)

    monkeypatch.setattr(Storage, "write", refuse)
    old.write("1\n")
    TROUBLES.noted.clear()
    reason = f"cannot be brought up to date: access denied; the run lies whole in {old.folder.path}"
    with pytest.raises(SearchError, match=reason):
        search(old.mirror())
    assert "the run folder's copy is late: access denied" in capfd.readouterr().out
    assert TROUBLES.noted == [(f"the run folder's copy in {old.place}", "access denied")]


def test_after_a_failure_everything_is_copied_again(
    old: Machine, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Storage, name: str, content: bytes) -> None:
        raise OSError("access denied")

    mirror = old.mirror()
    old.write("1\n")
    with mirror.holding(), monkeypatch.context() as broken:
        broken.setattr(Storage, "write", refuse)
        mirror.copy_if_due(TROUBLES)
        mirror._copying.exception()
    assert (copy / "run.yaml").read_text() == "run of 2"


def test_a_run_folder_on_a_path_has_no_copy(space: SearchSpace, tmp_path: Path) -> None:
    config = SearchConfig.model_validate({"space": space, "out": str(tmp_path)})
    assert type(mirror_of(config, RunFolder(tmp_path), lambda: None)) is NoMirror


@pytest.fixture
def bucket(aws: None) -> str:
    boto3.client("s3").create_bucket(Bucket="tuner")
    return "s3://tuner/runs"


@pytest.mark.slow
def test_a_search_on_s3_goes_on_on_another_machine(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def search(machine: str, trials: int) -> tuple[EndReason, list[int]]:
        monkeypatch.setenv("TUNER_CACHE", str(tmp_path / machine))
        outcome = run_search(
            SearchConfig.model_validate(
                {
                    "space": space,
                    "data": {"source": str(sentences)},
                    "out": bucket,
                    "name": "mine",
                    "trainer": "toy",
                    "trials": trials,
                }
            )
        )
        return outcome.reason, sorted(outcome.run.leaderboard()["trial"])

    assert search("first", 4) == (EndReason.BUDGET_USED, [0, 1, 2, 3])
    assert search("second", 4)[0] is EndReason.BUDGET_WAS_USED
    assert search("second", 6) == (EndReason.BUDGET_USED, [0, 1, 2, 3, 4, 5])
    assert search("first", 7) == (EndReason.BUDGET_USED, [0, 1, 2, 3, 4, 5, 6])
    copy = Storage(f"{bucket}/mine")
    assert copy.read("leaderboard.csv").count(b"\n") == 1 + 7
    home = Run(RunFolder.existing(f"{bucket}/mine").path)
    assert home.ensemble is not None
    assert home.ensemble.left_out == ()
    members = sorted(f"trials/trial-{member}.npz" for member in home.ensemble.members)
    assert copy.names("trials") == members
    assert copy.read(LEASE) is None


@pytest.mark.slow
def test_a_confirmation_of_a_run_on_s3_is_copied_with_its_models(
    without_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "first"))
    data = {"source": str(sentences)}
    asked = {"space": space, "data": data, "out": bucket, "name": "mine", "trainer": "toy"}
    config = SearchConfig.model_validate({**asked, "trials": 4})
    run_search(config)
    folder = RunFolder.existing(f"{bucket}/mine")
    run_confirmation(
        Run(folder.path), Request(top=2, seeds=1), confirmation_config(folder, {}), SilentListener()
    )
    copy = Storage(f"{bucket}/mine")
    models = sorted(path.name for path in folder.finalist_models.iterdir())
    assert len(models) == 2
    assert copy.names("finalists") == [f"finalists/{name}" for name in models]
    assert copy.read("finalists.csv") == folder.finalists.read_bytes()
    assert copy.read(LEASE) is None
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "second"))
    assert run_search(config).reason is EndReason.BUDGET_WAS_USED  # takes the copy up
    there = RunFolder.existing(f"{bucket}/mine")
    assert there.path != folder.path
    dataset = load_dataset(config.data)
    taken = [each.record.number for each in read_finalists(Run(there.path), dataset)]
    assert taken == [each.record.number for each in read_finalists(Run(folder.path), dataset)]
