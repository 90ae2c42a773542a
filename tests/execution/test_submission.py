"""A search packed for a cluster's job server."""

from pathlib import Path

import pytest

from tuner.errors import ConfigError
from tuner.execution.submission import pack_submission
from tuner.run.folder import RUN_FILE
from tuner.settings.config import make_config

SPACE = """
space:
  name: small
  architectures: {ARCHITECTURE: {}}
data: {source: mine.csv}
"""


@pytest.fixture
def typed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "typed in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "mine.csv").write_text("text,label\n")
    return folder


def packed(folder: Path, architecture: str = "lstm", more: str = "") -> Path:
    (folder / "ask.yaml").write_text(SPACE.replace("ARCHITECTURE", architecture) + more)
    sent = folder.parent / "sent"
    sent.mkdir()
    pack_submission(make_config({}, config_file=folder / "ask.yaml"), sent)
    return sent


def test_settings_and_data_travel_together(typed_in: Path) -> None:
    sent = packed(typed_in, more="trials: 7\naddress: elsewhere\n")
    config = make_config({}, config_file=sent / RUN_FILE)
    assert config.data.source == str(sent / "mine.csv")
    assert (config.trials, config.address, config.out) == (7, None, "~/runs")
    assert config.run_name == "small-mine"  # as it would be named here


@pytest.mark.parametrize(("source", "travels"), [("imdb", False), ("./imdb", True)])
def test_a_file_that_is_called_like_a_data_set_travels_only_by_its_path(
    typed_in: Path, source: str, travels: bool
) -> None:
    (typed_in / "imdb").write_text("text,label\n")
    (typed_in / "ask.yaml").write_text(SPACE.replace("ARCHITECTURE", "lstm"))
    config = make_config({"data": {"source": source}}, config_file=typed_in / "ask.yaml")
    sent = typed_in.parent / "sent"
    sent.mkdir()
    pack_submission(config, sent)
    there = make_config({}, config_file=sent / RUN_FILE).data.source
    assert there == (str(sent / "data-imdb") if travels else "imdb")


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("s3://bucket/runs", "s3://bucket/runs"),
        ("/data/runs", "/data/runs"),
        ("~/mine", "~/mine"),
        ("results", "~/results"),  # the job's own folder is removed
    ],
)
def test_the_place_of_the_run_is_kept(typed_in: Path, asked: str, sent: str) -> None:
    folder = packed(typed_in, more=f"out: {asked}\nstorage_path: ~/shared\n")
    config = make_config({}, config_file=folder / RUN_FILE)
    assert (config.out, config.storage_path) == (sent, "~/shared")


def test_a_storage_path_that_only_this_folder_knows_is_refused(typed_in: Path) -> None:
    with pytest.raises(ConfigError, match="storage_path: here is a path of this machine"):
        packed(typed_in, more="storage_path: here\n")


def test_a_file_for_mlflow_that_only_this_folder_knows_is_refused(typed_in: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"mlflow: m\.db is a path of this machine; write a server's"
    ):
        packed(typed_in, more="mlflow: m.db\n")


def test_architectures_of_ones_own_travel_too(typed_in: Path) -> None:
    (typed_in / "my_models.py").write_text("def build(**parameters): ...\n")
    assert (packed(typed_in, "my_models:build") / "my_models.py").is_file()


def test_packages_of_architectures_travel_whole(typed_in: Path) -> None:
    (typed_in / "my_package").mkdir()
    for name in ("__init__.py", "models.py"):
        (typed_in / "my_package" / name).write_text("")
    sent = packed(typed_in, "my_package.models:build")
    assert (sent / "my_package" / "models.py").is_file()


def test_an_architecture_that_is_nowhere_is_refused(typed_in: Path) -> None:
    with pytest.raises(ConfigError, match=r"architecture nowhere: no nowhere\.py in this folder"):
        packed(typed_in, "nowhere:build")


def test_word_vectors_travel_too_beside_data_of_the_same_name(typed_in: Path) -> None:
    data = typed_in / "mine.csv"
    (typed_in / "other").mkdir()
    vectors = typed_in / "other" / "mine.csv"
    for file in (data, vectors):
        file.write_text(f"good {file}\n")
    config = make_config({"space": "seed", "data": {"source": str(data), "vectors": str(vectors)}})
    (typed_in / "sent").mkdir()
    pack_submission(config, typed_in / "sent")
    there = make_config({}, config_file=typed_in / "sent" / RUN_FILE).data
    assert there.vectors is not None
    assert Path(there.source).read_text() == data.read_text()
    assert Path(there.vectors).read_text() == vectors.read_text()


def test_a_data_file_that_is_too_large_to_travel_is_refused(
    typed_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuner.execution.submission._LARGEST_MB", 0.000001)
    with pytest.raises(ConfigError, match="a job may carry"):
        packed(typed_in)
