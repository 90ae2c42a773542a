"""Files of settings: what a person writes for `--config`, and the `run.yaml` of a run folder.

Paths in them are relative to the file. A run folder that was moved is continued where it lies. Must not import Ray,
Keras or Optuna.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.errors import ConfigError
from tuner.settings.data import SOURCE_NAMES, SplitRule, data_mapping
from tuner.settings.yaml_files import read_yaml
from tuner.storage import is_url

RUN_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
# Keys of `run.yaml` that are no settings; ignored when it is read back as settings.
RECORDED = ("versions", "fingerprint", "created")


def read_settings(path: Path) -> dict[str, Any]:
    """Settings in a YAML file; a path of the space, the data, word vectors or runs in it is relative to the file.

    Those of a run are of the folder that they lie in, and of the data that lie as they lay, also after both were moved.
    """
    content = read_yaml(path, ConfigError)
    if "architectures" in content and "space" not in content:
        raise ConfigError(
            f"{path}: this is a space, not a file of settings; write tuner search {path}, or `space: {path.name}` "
            "into a file of settings"
        )
    settings = {key: value for key, value in content.items() if key not in RECORDED}
    if "fingerprint" in content:
        settings.setdefault("patience", "off")  # a run from before there was any
    space = settings.get("space")
    if isinstance(space, str) and os.path.isfile(path.parent / space):
        settings["space"] = str(path.parent / space)
    starters = settings.get("starters")
    if isinstance(starters, dict) and isinstance(starters.get("learn_from"), str | list):
        settings["starters"] = {
            **starters,
            "learn_from": _runs_beside(starters["learn_from"], path),
        }
    data = data_settings(content)
    if isinstance(data, dict):
        files = {
            key: _located(data[key], settings.get("out"), path)
            for key in ("source", "vectors")
            if isinstance(data.get(key), str)
            and not (key == "source" and data[key] in SOURCE_NAMES)
        }
        settings["data"] = {**data, **files}
    elif data is not None:
        raise ConfigError(f"{path}: data: must be a name, a path or a mapping, got {data!r}")
    if is_run_file(path) and not is_url(str(settings.get("out", ""))):
        folder = _folder_of(path)
        settings["out"] = str(folder.parent)
        if re.fullmatch(RUN_NAME, folder.name):
            settings["name"] = folder.name
    return settings


def refuse_odd_name(path: Path | None) -> None:
    """Refuses to continue a run whose folder has a name that no run can have, such as that of a file manager's copy.

    Raises:
        ConfigError: `path` is the `run.yaml` in it.
    """
    if path is None or not is_run_file(path):
        return
    folder = _folder_of(path)
    if not re.fullmatch(RUN_NAME, folder.name):
        raise ConfigError(
            f"{folder}: a run that goes on is named by letters, digits, '.', '_' and '-'; rename the folder"
        )


def _folder_of(path: Path) -> Path:
    return Path(os.path.abspath(path)).parent


def data_settings(content: Mapping[str, Any]) -> object:
    """The data settings in a settings file's `content`, not checked.

    A run from before `--data-seed` has what drew its splits then: the seed of its search, and the earlier rule.
    """
    data = data_mapping(content.get("data"))
    if "fingerprint" in content and isinstance(data, dict) and "split_rule" not in data:
        return {"seed": content.get("seed", 0), "split_rule": int(SplitRule.SAMPLED_FIRST), **data}
    return data


def is_run_file(path: Path) -> bool:
    """Whether a settings file is the `run.yaml` of a run folder."""
    return (path.parent / "study.journal").is_file()


def _located(written: str, out: object, path: Path) -> str:
    """Where a file lies that is `written` in the settings file `path`; as written if it is none, but a name, say."""
    file = path.parent / written
    if not os.path.isfile(file):
        file = _moved_along(written, out, path) or file
    return str(file) if os.path.isfile(file) else written


def _runs_beside(runs: str | list[object], path: Path) -> list[object]:
    """The runs to learn from that the settings file `path` names; those that lie beside it, by their paths."""
    written = [runs] if isinstance(runs, str) else runs
    return [
        str(path.parent / run) if isinstance(run, str) and os.path.isdir(path.parent / run) else run
        for run in written
    ]


def _moved_along(source: str, out: object, path: Path) -> Path | None:
    """Where data lie that were moved with the run folder that has the settings file `path`.

    Args:
        source: where they lay.
        out: the folder of the runs then.
    """
    if not (isinstance(out, str) and os.path.isabs(out) and os.path.isabs(source)):
        return None
    moved = _folder_of(path).parent / os.path.relpath(source, out)
    return Path(os.path.normpath(moved)) if is_run_file(path) else None
