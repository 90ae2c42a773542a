"""A search packed for a cluster's job server: its settings, its data and its own architectures in one folder."""

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from tuner.errors import ConfigError
from tuner.run.folder import RUN_FILE
from tuner.search.starters import with_found_starters
from tuner.settings.config import SearchConfig
from tuner.settings.data import SOURCE_NAMES
from tuner.settings.hyperparameters import is_custom
from tuner.settings.yaml_files import to_yaml
from tuner.storage import is_url

_LARGEST_MB = 200  # Ray packs 512 MiB at most


def pack_submission(config: SearchConfig, folder: Path) -> None:
    """Fills `folder` with everything that `tuner search --config run.yaml` needs on the head.

    Raises:
        ConfigError: the data file is too large to travel, or an architecture's module is not in this folder.
    """
    config = with_found_starters(config)  # the head has none of these runs
    settings: dict[str, Any] = config.model_dump(
        mode="json",
        exclude_none=True,
        exclude={"space": True, "address": True, "starters": {"learn_from"}},
    )
    settings["name"] = config.run_name
    if not is_url(config.out) and not config.out.startswith(("/", "~")):
        # The job's own folder is removed with the cluster, or sooner.
        settings["out"] = f"~/{config.out}"
    place = config.storage_path
    if place is not None and not is_url(place) and not place.startswith(("/", "~")):
        raise ConfigError.of(
            "storage_path",
            f"{place} is a path of this machine; write one that all nodes share, or a URL",
        )
    if config.mlflow is not None and not config.mlflow.startswith(
        ("http:", "https:", "/", "~", "sqlite:////")
    ):
        raise ConfigError.of(
            "mlflow",
            f"{config.mlflow} is a path of this machine; write a server's address, or a path of the head",
        )
    for name, key, given in (
        ("data", "source", config.data.source),
        ("vectors", "vectors", config.data.vectors),
    ):
        if given is None or (key == "source" and given in SOURCE_NAMES):
            continue
        if (file := Path(os.path.expanduser(given))).is_file():
            settings["data"][key] = _travelling(name, file, folder)
    for architecture in config.space.architectures:
        if is_custom(architecture):
            _copy_module(architecture.split(":")[0], folder)
    record = {"space": config.space.to_mapping(), **settings}
    (folder / RUN_FILE).write_text(to_yaml(record), encoding="utf-8")


def _travelling(name: str, file: Path, folder: Path) -> str:
    """Copies a file of the setting `name` into `folder`; its name there."""
    megabytes = file.stat().st_size / 1e6
    if megabytes > _LARGEST_MB:
        raise ConfigError(
            f"{name}: {file} has {megabytes:.0f} MB, and a job may carry {_LARGEST_MB}; "
            "put it on the head, and write its path there with `tuner search` instead"
        )
    is_plain = name == "data" and file.name not in SOURCE_NAMES
    copy = file.name if is_plain else f"{name}-{file.name}"
    shutil.copy(file, folder / copy)
    return copy


def _copy_module(name: str, folder: Path) -> None:
    """Copies a module or package of the current folder; an installed one must be installed on the cluster, too."""
    top = name.split(".")[0]
    if Path(f"{top}.py").is_file():
        shutil.copy(f"{top}.py", folder)
    elif Path(top, "__init__.py").is_file():
        shutil.copytree(top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    elif importlib.util.find_spec(top) is None:
        raise ConfigError(f"architecture {name}: no {top}.py in this folder; run tuner beside it")
