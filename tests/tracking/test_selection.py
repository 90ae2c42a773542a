"""The exporters that a search gets, and those that are refused."""

from pathlib import Path
from typing import Any

import pytest
from support.studies import open_study

from tuner import extras
from tuner.errors import ConfigError
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.places import tracking_uri
from tuner.settings.space import SearchSpace
from tuner.settings.yaml_files import read_yaml
from tuner.tracking.selection import check_exporters, make_exporters


@pytest.fixture
def asked(space: SearchSpace, tmp_path: Path) -> Any:
    def ask(**settings: object) -> SearchConfig:
        return make_config({"space": space, "out": str(tmp_path), "name": "x", **settings})

    return ask


def test_without_settings_there_are_no_exporters(asked: Any) -> None:
    config = asked()
    check_exporters(config)
    assert make_exporters(config, RunFolder(config.folder)) == []


def test_both_exporters_may_be_requested(asked: Any, tmp_path: Path) -> None:
    config = asked(tensorboard=True, mlflow=str(tmp_path / "trials.db"))
    check_exporters(config)
    folder = RunFolder(config.folder)
    open_study(folder.journal, config.space)
    names = [exporter.name for exporter in make_exporters(config, folder)]
    assert names == ["TensorBoard", f"MLflow (sqlite:///{tmp_path}/trials.db)"]
    assert not folder.tensorboard.exists()


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://host/mlflow", "https://host/mlflow"),
        ("sqlite:////data/x", "sqlite:////data/x"),
        ("/data/x.db", "sqlite:////data/x.db"),
        ("/data/folder", "sqlite:////data/folder/mlflow.db"),
        ("x.db", "sqlite:///{here}/x.db"),
        ("sqlite:///x.db", "sqlite:///{here}/x.db"),
        (".", "sqlite:///{here}/mlflow.db"),
    ],
)
def test_a_place_is_a_server_a_file_or_a_folder(place: str, uri: str) -> None:
    assert tracking_uri(place) == uri.format(here=Path.cwd())
    assert tracking_uri(tracking_uri(place)) == tracking_uri(place)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("ftp://host", "mlflow: must be http://host:port, sqlite:///file.db, or a path"),
        ("", "mlflow: must be http://host:port"),
        (
            "https://me:secret@host",
            "mlflow: must hold no password or token, the run folder records it",
        ),
    ],
)
def test_another_place_is_refused(asked: Any, place: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}") as refused:
        asked(mlflow=place)
    assert "secret" not in str(refused.value)


def test_a_file_in_no_folder_is_refused(asked: Any, tmp_path: Path) -> None:
    config = asked(mlflow=str(tmp_path / "no" / "x.db"))
    with pytest.raises(ConfigError, match=f"^mlflow: {tmp_path}/no: no such folder; make it first"):
        check_exporters(config)


def test_mlflow_without_its_package_is_refused_with_the_command(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    message = '^mlflow: needs mlflow, which is not installed; .*"sequence-tuner\\[mlflow\\]"$'
    with pytest.raises(ConfigError, match=message):
        check_exporters(asked(mlflow="x.db"))


def test_event_files_need_no_package_that_is_not_installed(
    asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    check_exporters(asked(tensorboard=True))


def test_the_run_file_asks_for_them_again(asked: Any) -> None:
    config = asked(tensorboard=True, mlflow="x.db")
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    again = make_config({}, config_file=folder.run_file)
    assert (again.tensorboard, again.mlflow) == (True, f"sqlite:///{Path.cwd()}/x.db")
    assert read_yaml(folder.run_file, ConfigError)["tensorboard"] is True
