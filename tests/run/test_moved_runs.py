"""A run, or its data, in another place than where the search began."""

import errno
import shutil
from pathlib import Path

import pytest
import yaml

from tuner.errors import ConfigError, RunFolderError
from tuner.finalists.request import confirmation_config
from tuner.run import run_file
from tuner.run.folder import RunFolder
from tuner.run.run_file import (
    read_run_file,
    remember_place,
    write_run_file,
)
from tuner.settings.config import make_config
from tuner.settings.data import DataConfig
from tuner.settings.settings_files import refuse_odd_name


def moved(tmp_path: Path, *, with_data: bool) -> RunFolder:
    """A run folder that was moved, its data with it or to another place."""
    project = tmp_path / "project"
    (project / "runs" / "r").mkdir(parents=True)
    (project / "rows.csv").write_text("text,label\n")
    config = make_config(
        {
            "space": "seed",
            "data": {"source": str(project / "rows.csv")},
            "out": str(project / "runs"),
            "name": "r",
        }
    )
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    folder.journal.touch()
    if not with_data:
        (project / "rows.csv").rename(tmp_path / "elsewhere.csv")
    project.rename(tmp_path / "moved")
    return RunFolder(tmp_path / "moved" / "runs" / "r")


def test_a_run_that_was_moved_with_its_data_finds_both(tmp_path: Path) -> None:
    folder = moved(tmp_path, with_data=True)
    config = read_run_file(folder).config
    assert config.folder == folder.path
    assert config.data.source == str(tmp_path / "moved" / "rows.csv")
    assert read_run_file(folder).located_data() == config.data


def test_a_run_whose_data_were_moved_elsewhere_is_told_once_where(tmp_path: Path) -> None:
    folder = moved(tmp_path, with_data=False)
    for asked in (None, str(tmp_path / "nowhere.csv")):
        with pytest.raises(RunFolderError, match=r"data of .* are not there; .* --data of"):
            read_run_file(folder).located_data(asked)
    place = str(tmp_path / "elsewhere.csv")
    assert read_run_file(folder).located_data(place).source == place
    before = yaml.safe_load(folder.run_file.read_text())
    remember_place(folder, DataConfig(source=place))
    assert read_run_file(folder).located_data().source == place
    now = yaml.safe_load(folder.run_file.read_text())
    assert now["out"] == str(folder.path.parent)
    changed_keys = {key for key in now if now[key] != before[key]}
    assert changed_keys == {"data", "out"}


def test_a_run_with_a_copy_behind_a_url_keeps_that_and_is_told_where_its_data_are(
    tmp_path: Path,
) -> None:
    folder = moved(tmp_path, with_data=False)
    content = yaml.safe_load(folder.run_file.read_text())
    url = f"file://{tmp_path}/bucket"
    folder.run_file.write_text(yaml.safe_dump({**content, "out": url}))
    place = str(tmp_path / "elsewhere.csv")
    located = confirmation_config(folder, {"data": place}).data
    remember_place(folder, located)
    assert read_run_file(folder).located_data() == located
    assert yaml.safe_load(folder.run_file.read_text())["out"] == url


def test_word_vectors_that_were_moved_are_told_once(tmp_path: Path) -> None:
    before, now, other = (tmp_path / name for name in ("before.vec", "now.vec", "other.vec"))
    before.write_text("good 0.1 0.2\n")
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n")
    data = {"source": str(rows), "vectors": str(before)}
    config = make_config({"space": "seed", "data": data, "out": str(tmp_path), "name": "r"})
    folder = RunFolder(config.folder)
    folder.path.mkdir()
    write_run_file(folder, config, "data")
    before.rename(now)
    other.write_text("good 0.1 0.3\n")
    with pytest.raises(RunFolderError, match=r"word vectors of .* are not there; .* --vectors of"):
        confirmation_config(folder, {})
    with pytest.raises(RunFolderError, match=r"no file of the word vectors that .* learned with"):
        confirmation_config(folder, {"vectors": str(other)})
    remember_place(folder, confirmation_config(folder, {"data": {"vectors": str(now)}}).data)
    assert confirmation_config(folder, {}).data.vectors == str(now)


def test_the_place_of_a_run_on_a_read_only_disk_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    folder = moved(tmp_path, with_data=True)
    monkeypatch.setattr(run_file, "write_atomically", refuse)
    remember_place(folder, DataConfig(source=str(tmp_path / "moved" / "rows.csv")))


def test_a_data_sets_name_is_recorded_although_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imdb").write_text("text,label\n")
    folder = RunFolder(tmp_path / "r")
    for source, recorded in (("imdb", "imdb"), ("./imdb", str(tmp_path / "imdb"))):
        asked = make_config({"space": "seed", "data": {"source": source}})
        write_run_file(folder, asked, "data")
        assert read_run_file(folder).located_data().source == recorded
        remember_place(folder, DataConfig(source=source))
        assert read_run_file(folder).located_data().source == recorded


def test_from_inside_its_folder_a_run_continues_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = moved(tmp_path, with_data=True)
    folder.logs.mkdir()
    for here, typed in ((folder.path, "run.yaml"), (folder.logs, "../run.yaml")):
        monkeypatch.chdir(here)
        assert make_config({}, config_file=Path(typed)).folder == folder.path
    monkeypatch.chdir(folder.path)
    before = folder.run_file.read_text()
    of_here = RunFolder(Path())
    assert of_here.name == folder.name
    remember_place(of_here, DataConfig(source=str(tmp_path / "moved" / "rows.csv")))
    remember_place(folder, DataConfig(source=str(tmp_path / "moved" / "rows.csv")))
    recorded = yaml.safe_load(folder.run_file.read_text())
    assert recorded["out"] == str(folder.path.parent)
    assert before != folder.run_file.read_text()
    assert confirmation_config(of_here, {}).folder == folder.path


def test_a_copy_that_a_file_manager_named_is_confirmed_but_not_continued(tmp_path: Path) -> None:
    folder = moved(tmp_path, with_data=True)
    copy = RunFolder(folder.path.with_name("r (copy)"))
    shutil.copytree(folder.path, copy.path)
    with pytest.raises(ConfigError, match=r"r \(copy\): a run that goes on is named by .* rename"):
        refuse_odd_name(copy.run_file)
    refuse_odd_name(folder.run_file)
    assert confirmation_config(copy, {}).folder == copy.path


def test_a_renamed_run_folder_continues_as_itself(tmp_path: Path) -> None:
    folder = moved(tmp_path, with_data=True)
    folder.path.rename(folder.path.with_name("renamed"))
    again = make_config({}, config_file=folder.path.with_name("renamed") / "run.yaml")
    assert again.folder == folder.path.with_name("renamed")
