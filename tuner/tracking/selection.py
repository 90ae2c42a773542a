"""The exporters that a search's settings request, and whether they can work."""

from pathlib import Path

from tuner.errors import ConfigError
from tuner.extras import Extra, require
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig
from tuner.settings.places import tracking_uri
from tuner.tracking.exporter import Exporter
from tuner.tracking.mlflow import MlflowExporter

_SQLITE = "sqlite:///"


def check_exporters(config: SearchConfig) -> None:
    """Refuses exporters that cannot work, before anything starts.

    Raises:
        ConfigError: their packages are not installed, or there is no folder for MLflow's file.
    """
    if config.mlflow is None:
        return
    require(Extra.MLFLOW, "mlflow")
    uri = tracking_uri(config.mlflow)
    if uri.startswith(_SQLITE):
        parent = Path(uri.removeprefix(_SQLITE)).parent
        if not parent.is_dir():
            raise ConfigError.of("mlflow", f"{parent}: no such folder; make it first")


def make_exporters(config: SearchConfig, folder: RunFolder) -> list[Exporter]:
    """The exporters of a search, not opened yet; its study exists."""
    exporters: list[Exporter] = []
    if config.tensorboard:
        from tuner.tracking.tensorboard import TensorboardExporter

        exporters.append(TensorboardExporter(folder.tensorboard))
    if config.mlflow is not None:
        uri = tracking_uri(config.mlflow)
        exporters.append(MlflowExporter(uri, run_name=config.run_name, study_id=folder.study_id))
    return exporters
