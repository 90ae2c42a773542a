"""The copy of a run folder behind a URL: what is copied, and when."""

import time
from pathlib import Path

import pytest
from support.mirrored_machine import TROUBLES, Machine

from tuner.errors import RunFolderError, SearchError
from tuner.execution import mirror as mirror_module
from tuner.execution.mirror import NoMirror, StorageMirror, mirror_of
from tuner.run.folder import RunFolder
from tuner.run.lease import LEASE
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace
from tuner.storage import Storage


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


def test_what_a_killed_search_had_begun_to_copy_is_removed(old: Machine, copy: Path) -> None:
    old.write("1\n")
    with old.mirror().holding():
        pass
    (copy / "trials").mkdir()
    begun = [copy / "study.journal.3f2a.part", copy / "trials" / "trial-1.npz.3f2a.part"]
    others = [copy / "tests.yaml.3f2a.part", copy / f"{LEASE}.3f2a.part"]
    for path in (*begun, *others):
        path.touch()
    old.mirror().take_up()
    assert [path for path in begun if path.exists()] == []
    assert all(path.exists() for path in others)


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
