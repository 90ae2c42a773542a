"""The run folder: which folders are one, and the suggestions for a misspelt one."""

from pathlib import Path

import pytest

from tuner.errors import RunFolderError
from tuner.run.folder import RunFolder


@pytest.mark.parametrize("name", ["missing", "x" * 300, "~nobody-here/run", "a\0b"])
def test_a_run_that_does_not_exist_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunFolderError, match="no such run folder"):
        RunFolder.existing(name)


def test_a_folder_without_a_study_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"not a run folder \(no study\.journal in it\)"):
        RunFolder.existing(tmp_path)


def test_a_misspelt_run_is_refused_with_the_existing_runs(
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
