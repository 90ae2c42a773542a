"""The run folder: its lock, what belongs to it, and what makes two searches the same."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.run_files import files_below

from tuner.errors import RunFolderError
from tuner.run import folder as run_folder
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace

_HOLD = """
import sys
from pathlib import Path
from tuner.run.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""
REPOSITORY = Path(__file__).resolve().parent.parent


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)],
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


# -- the lock -------------------------------------------------------------------------------------


def test_a_second_search_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path) as process:
        before = files_below(tmp_path)
        with (
            pytest.raises(
                RunFolderError,
                match=rf"run: a search is running in it \(process {process.pid} on \S+\); wait for it",
            ),
            folder.claimed(),
        ):
            pytest.fail("two searches in one folder")
        assert files_below(tmp_path) == before


def test_the_lock_of_a_dead_process_does_not_block(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with held_by_another_process(folder.path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with folder.locked():
            owner = (folder.logs / "lock").read_text()
    assert owner.startswith(f"process {os.getpid()} on ")


def test_the_lock_is_released_when_a_search_ends(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for _ in range(2):
        with folder.locked(), pytest.raises(RunFolderError, match="a search is running in it"):
            folder.locked().__enter__()


# -- claiming -------------------------------------------------------------------------------------


class RefusedError(Exception):
    """Stands for whatever stops a search before its first trial."""


def claim_and_fail(folder: RunFolder, *made: str) -> None:
    with suppress(RefusedError), folder.claimed():
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


def test_what_lay_in_the_folder_before_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    claim_and_fail(RunFolder(tmp_path / "run"))
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_what_somebody_else_put_there_meanwhile_stays(tmp_path: Path) -> None:
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


def test_two_that_make_the_folder_at_once_do_not_remove_each_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    exists = os.path.exists
    with folder.claimed():
        # As the second one saw it, a moment before the first one made the folder.
        monkeypatch.setattr(
            run_folder.os.path, "exists", lambda path: exists(path) and path != folder.path
        )
        with pytest.raises(RunFolderError, match="a search is running"), folder.claimed():
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
    with pytest.raises(RunFolderError, match=message), RunFolder(tmp_path / name).claimed():
        pytest.fail("a run folder in a file")
    assert files_below(tmp_path) == {"file": b"mine"}


# -- opening --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing", "x" * 300, "~nobody-here/run", "a\0b"])
def test_a_run_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunFolderError, match="no such run folder"):
        RunFolder.existing(name)


def test_a_folder_without_a_study_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not a run folder \(no study\.journal in it\)"):
        RunFolder.existing(tmp_path)


def test_a_misspelt_run_is_answered_with_the_runs_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match="`tuner search` makes one"):
        RunFolder.existing("runs/nope")
    for name in ("b", "a"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "study.journal").touch()
    with pytest.raises(RunFolderError, match=r"runs/nope: .*; write one of runs/a, runs/b$"):
        RunFolder.existing("runs/nope")


# -- the same search ------------------------------------------------------------------------------


def changed(space: SearchSpace, **changes: Any) -> SearchSpace:
    return SearchSpace.from_mapping({**space.to_mapping(), **changes}, "changed")


def test_the_same_search_with_another_budget_continues(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    folder.check_same_search(SearchConfig(space=space), "data")  # nothing there yet
    folder.write_run_file(SearchConfig(space=space, trials=5), "data")
    folder.check_same_search(SearchConfig(space=space, trials=50, gpus_per_trial=0.5), "data")
    reworded = changed(space, description="in other words")
    folder.check_same_search(SearchConfig(space=reworded), "data")


@pytest.mark.parametrize(
    ("asked", "data", "message"),
    [
        ({}, "other", "other data, or another sample of them; choose another --name"),
        ({"seed": 1}, "data", "seed 0, not 1; choose"),
        ({"max_epochs": 3}, "data", "max_epochs 9, not 3; choose"),
        ({"trainer": "toy"}, "data", "trainer keras, not toy; choose"),
    ],
)
def test_another_search_under_the_same_name_is_refused_and_touches_nothing(
    tmp_path: Path, space: SearchSpace, asked: dict[str, Any], data: str, message: str
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_run_file(SearchConfig(space=space), "data")
    before = files_below(tmp_path)
    with pytest.raises(RunFolderError, match=f"belongs to a search with {message}") as refused:
        folder.check_same_search(SearchConfig(space=space, **asked), data)
    assert str(refused.value).isprintable()
    assert files_below(tmp_path) == before


def test_another_space_is_refused_also_when_only_its_architectures_order_changed(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_run_file(SearchConfig(space=space), "data")
    content = space.to_mapping()
    reordered = changed(space, architectures=dict(reversed(content["architectures"].items())))
    wider = changed(space, shared={**content["shared"], "lstm_units": {"int": [8, 65]}})
    for other in (reordered, wider):
        with pytest.raises(RunFolderError, match="belongs to a search with another space; choose"):
            folder.check_same_search(SearchConfig(space=other), "data")


def test_a_run_file_without_a_fingerprint_is_refused(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("space: seed", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"run.yaml: no fingerprint in it; choose another"):
        folder.check_same_search(SearchConfig(space=space), "data")


def test_the_run_file_keeps_its_date_and_says_what_was_installed(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    folder.write_run_file(SearchConfig(space=space), "data")
    text = folder.run_file.read_text(encoding="utf-8")
    created = re.sub(r"created: .*", "created: '2020-01-01T00:00:00+00:00'", text)
    folder.run_file.write_text(created, encoding="utf-8")
    folder.write_run_file(SearchConfig(space=space, trials=99), "data")
    record = yaml.safe_load(folder.run_file.read_text(encoding="utf-8"))
    assert (record["created"], record["trials"]) == ("2020-01-01T00:00:00+00:00", 99)
    assert {"python", "optuna", "pandas"} <= set(record["versions"])
    assert set(record["fingerprint"]) == {"space", "data", "max_epochs", "seed", "trainer"}


def test_other_objectives_are_refused_and_a_run_file_from_before_there_were_two_is_not(
    tmp_path: Path, space: SearchSpace
) -> None:
    asked = {"space": space, "out": str(tmp_path), "name": "x"}
    one = make_config(asked)
    two, other = (
        make_config({**asked, "objectives": ("val_accuracy", cost)})
        for cost in ("weights", "seconds_per_epoch")
    )
    folder = RunFolder(one.folder)
    folder.write_run_file(one, "data")
    assert "objectives:" not in folder.run_file.read_text(encoding="utf-8")
    folder.check_same_search(one, "data")
    with pytest.raises(
        RunFolderError, match="with objectives val_accuracy, not val_accuracy,weights"
    ):
        folder.check_same_search(two, "data")
    folder.write_run_file(two, "data")
    folder.check_same_search(two, "data")
    for different in (one, other):
        with pytest.raises(RunFolderError, match="with objectives val_accuracy,weights, not val_a"):
            folder.check_same_search(different, "data")
