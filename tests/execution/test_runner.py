"""A session of a plan, up to the moment at which it would start Ray."""

import errno
from pathlib import Path
from typing import Any

import pytest
from support.run_files import files_below
from support.searches import make, toy_space
from support.studies import open_study

from tuner.data import load_dataset
from tuner.errors import JournalLost, SearchError
from tuner.execution import cluster, ray_internals
from tuner.execution.checkpoints import checkpoints_of
from tuner.execution.runner import run_plan
from tuner.execution.search import run_search
from tuner.run import lock as lock_module
from tuner.run.attributes import Attribute
from tuner.run.events import SilentListener
from tuner.run.folder import RunFolder
from tuner.run.lease import Lease, Pace


class _PlanOfATakenFolder:
    """A plan whose folder another host takes over while its study is looked at."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.folder = RunFolder(config.folder)
        self.dataset: Any = None

    def check(self) -> None:
        pass

    def finish_if_done(self) -> bool:
        self.folder.journal.write_text("theirs")
        self.folder.lease.write_text('{"owner": "process 7 on elsewhere", "token": "another"}')
        self.folder.lock_file.write_text("process 7 on elsewhere")
        self.before = files_below(self.folder.path)
        return False


def test_a_search_whose_folder_another_host_took_over_ends_and_writes_no_more(
    tmp_path: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_PACE", Pace(renew_s=0.0, watch_s=20.0, settle_s=0.0))
    monkeypatch.setattr(Lease, "start_renewing", lambda _: None)  # it was suspended
    plan: Any = _PlanOfATakenFolder(make(toy_space(), sentences, tmp_path, name="x"))
    with pytest.raises(
        JournalLost,
        match=r"x: a search on another host has taken this run over \(process 7 on else",
    ):
        run_plan(plan, SilentListener())
    assert files_below(plan.folder.path) == plan.before


def test_a_disk_that_fails_is_told_like_a_full_one(tmp_path: Path, sentences: Path) -> None:
    class _Plan(_PlanOfATakenFolder):
        def finish_if_done(self) -> bool:
            raise OSError(errno.EIO, "Input/output error", "study.journal")

    plan: Any = _Plan(make(toy_space(), sentences, tmp_path, name="x"))
    with pytest.raises(SearchError, match=r"x: the search cannot continue: .*Input/output error"):
        run_plan(plan, SilentListener())


def test_a_search_that_was_killed_after_its_last_trial_leaves_no_checkpoints(
    without_ray: None, tmp_path: Path, sentences: Path
) -> None:
    config = make(toy_space(), sentences, tmp_path, trials=1, storage_path=str(tmp_path / "shared"))
    run_search(config)
    storage = checkpoints_of(config, load_dataset(config.data))
    assert storage is not None

    def is_left() -> bool:
        storage.write("left.npz", b"")
        run_search(config)
        return storage.read("left.npz") is not None

    assert not is_left()
    study = open_study(config.folder / "study.journal", config.space)
    study.study.enqueue_trial(study.study.trials[0].params, user_attrs={Attribute.RETRY_OF: 0})
    assert is_left()  # with a larger budget that trial goes on from it


def test_a_ray_that_does_not_start_on_a_busy_machine_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise Exception("The current node timed out\nduring startup.")  # as Ray raises it

    monkeypatch.setattr(ray_internals, "start", start)
    message = (
        r"Ray does not start on this machine: The current node timed out during startup\.; the"
    )
    with pytest.raises(SearchError, match=message):
        cluster._start(tmp_path)
