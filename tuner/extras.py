"""Packages that some features need and a plain install leaves out. Must not import any of them."""

import shlex
import sys
from enum import StrEnum
from importlib.util import find_spec

from tuner.errors import ConfigError


class Extra(StrEnum):
    """An optional dependency, as `pyproject.toml` names it."""

    CLUSTER = "cluster"
    DASHBOARD = "dashboard"
    IMAGES = "images"
    MLFLOW = "mlflow"
    ONNX = "onnx"


_MODULES = {
    Extra.CLUSTER: ("aiohttp",),
    Extra.DASHBOARD: ("optuna_dashboard",),
    Extra.IMAGES: ("kaleido",),
    Extra.MLFLOW: ("mlflow", "sqlalchemy", "alembic"),
    Extra.ONNX: ("tf2onnx",),
}


def require(extra: Extra, feature: str) -> None:
    """Refuses a feature whose packages are not installed.

    Raises:
        ConfigError: names what to install.
    """
    missing = [module for module in _MODULES[extra] if find_spec(module) is None]
    if missing:
        package = missing[0].replace("_", "-")
        raise ConfigError(
            f"{feature}: needs {package}, which is not installed; {_installing(extra)}"
        )


def _installing(extra: Extra) -> str:
    """The command that installs it into this very environment."""
    return f'{shlex.quote(sys.executable)} -m pip install "sequence-tuner[{extra}]"'
