"""What some features need and a plain install leaves out. Must not import any of it."""

from enum import StrEnum
from importlib.util import find_spec

from tuner.errors import ConfigError


class Extra(StrEnum):
    """An optional dependency, as `pyproject.toml` names it."""

    DASHBOARD = "dashboard"
    MLFLOW = "mlflow"
    TENSORBOARD = "tensorboard"


_MODULES = {
    Extra.DASHBOARD: ("optuna_dashboard",),
    Extra.MLFLOW: ("mlflow", "sqlalchemy", "alembic"),
    Extra.TENSORBOARD: ("tensorboard",),
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
            f'{feature}: needs {package}, which is not installed; pip install "sequence-tuner[{extra}]"'
        )
