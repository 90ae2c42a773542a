"""The sinks that a search is asked for."""

from pathlib import Path

from tuner.errors import ConfigError
from tuner.extras import Extra, require
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig
from tuner.settings.places import tracking_uri
from tuner.tracking.exporter import Sink
from tuner.tracking.mlflow import MlflowSink

_SQLITE = "sqlite:///"


def check_sinks(config: SearchConfig) -> None:
    """Refuses sinks that cannot be, before anything starts.

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
            raise ConfigError(f"mlflow: {parent}: no such folder; make it first")


def make_sinks(config: SearchConfig, folder: RunFolder) -> list[Sink]:
    """The sinks of a search, not yet open; its study exists."""
    sinks: list[Sink] = []
    if config.tensorboard:
        from tuner.tracking.tensorboard import TensorboardSink

        sinks.append(TensorboardSink(folder.tensorboard))
    if config.mlflow is not None:
        uri = tracking_uri(config.mlflow)
        sinks.append(MlflowSink(uri, run_name=config.run_name, study_id=folder.study_id))
    return sinks
