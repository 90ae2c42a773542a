"""`run.yaml`: the settings of a search, resolved, with the versions and the data that its figures depend on.

`--config run.yaml` asks for the same search again. Must not import Ray, Keras or Optuna.
"""

import os
import platform
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from tuner.data.vectors import digest_of
from tuner.errors import RunFolderError
from tuner.files import write_atomically
from tuner.machine import keras_backend
from tuner.run.fingerprint import Fingerprint
from tuner.run.folder import RunFolder
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.data import (
    SOURCE_NAMES,
    DataConfig,
    SplitRule,
    absolute_source,
    data_mapping,
    is_data_file,
)
from tuner.settings.hyperparameters import module_options
from tuner.settings.places import absolute, tracking_uri
from tuner.settings.settings_files import RECORDED, data_settings
from tuner.settings.validation import Strict, first_problem
from tuner.settings.widening import not_held, other_space_text
from tuner.settings.yaml_files import read_yaml, to_yaml
from tuner.storage import is_url
from tuner.urls import holds_secret, without_secrets

_RECORDED_PACKAGES = (
    *("sequence-tuner", "ray", "optuna", "keras"),
    *("tensorflow", "jax", "torch", "numpy", "pandas"),
)


class _Record(Strict):
    """The part of `run.yaml` that is no setting."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    created: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class RunFile:
    """The content of a `run.yaml`; of one that does not exist, nothing."""

    path: Path
    text: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)  # not checked
    created: str | None = None  # when the search was first requested, in UTC
    versions: Mapping[str, str] = field(default_factory=dict)  # by package
    fingerprint: Fingerprint | None = None

    @cached_property
    def config(self) -> SearchConfig:
        """The settings, checked.

        Raises:
            ConfigError, SpaceError: in one line, which setting breaks which rule.
        """
        # Earlier versions took several GPUs per trial, of which a trial used one.
        # They also recorded passwords in URLs.
        places = {
            name: without_secrets(place).replace(":***@", "@").partition("?")[0]
            for name in ("out", "storage_path", "mlflow")
            if isinstance(place := self.settings.get(name), str) and holds_secret(place)
        }
        gpus = self.settings.get("gpus_per_trial")
        is_several = isinstance(gpus, int | float) and gpus > 1
        several = {"gpus_per_trial": 1.0} if is_several else {}
        return make_config({**places, **several}, config_file=self.path)

    @cached_property
    def data(self) -> DataConfig | None:
        """The data that was searched on; None where it is not recorded.

        Raises:
            RunFolderError: the entry breaks a rule.
        """
        if self.settings.get("data") is None:
            return None
        try:
            return DataConfig.model_validate(self.settings["data"])
        except ValidationError as cause:
            raise RunFolderError(f"{self.path}: data: {first_problem(cause)}") from cause

    def check_same_search(
        self,
        config: SearchConfig,
        data_fingerprint: str,
        code: Mapping[str, str] | None = None,
        parts: str | None = None,
    ) -> None:
        """Refuses to continue another search under this name.

        Args:
            code, parts: as for `Fingerprint.of`.

        Raises:
            RunFolderError: the space, objectives, data, word vectors, epochs, patience, seed or way to validate differ
                from the recorded ones, or code does and the settings do not accept that.
        """
        if self.fingerprint is None:
            raise RunFolderError(f"{self.path}: no fingerprint in it; choose another --name")
        requested = Fingerprint.of(config, data_fingerprint, parts=parts)
        for part, recorded in self.fingerprint.differences(requested, config.space.metric.name):
            if part == "space":
                if reason := not_held(self.config.space, config.space):
                    modules = module_options(self.config.space.architectures)
                    again = f"tuner search --config {shlex.quote(str(self.path))}{modules}"
                    continues = f"{again} continues it"
                    raise RunFolderError(
                        f"{self.path.parent}: {other_space_text(reason)}; {continues}"
                    )
                continue  # it goes on in a wider one
            raise RunFolderError(
                f"{self.path.parent}: belongs to a search with {recorded}; "
                "choose another --name, or ask for the same to continue it"
            )
        if config.accept_changed_code:
            return
        for architecture, digest in (self.fingerprint.code or {}).items():
            if (code or {}).get(architecture, digest) != digest:
                raise RunFolderError(
                    f"{self.path.parent}: the code of {architecture} is no longer what its trials learned with; choose "
                    "another --name, or add --accept-changed-code: the leaderboard then shows the code of every trial"
                )

    def located_data(self, given: str | None = None, vectors: str | None = None) -> DataConfig:
        """The data that was searched on, where it lies now.

        Args:
            given: its new place, as a person gives it; None: the recorded one.
            vectors: the new place of the word vectors; None: the recorded one, which is not looked at.

        Raises:
            RunFolderError: it is not there, or these are other word vectors.
            DataError: the word vectors cannot be read.
        """
        data = self.config.data if given is None else self.config.data.at(given)
        if vectors is not None:
            if self.fingerprint is None or self.fingerprint.vectors != digest_of(vectors):
                raise RunFolderError(
                    f"{vectors}: no file of the word vectors that {self.path.parent} learned with; name that file, or "
                    "leave it out"
                )
            data = data.model_copy(update={"vectors": vectors})
        if data.source not in SOURCE_NAMES and not is_data_file(data.source):
            raise RunFolderError(
                f"{data.source}: the data of {self.path.parent} are not there; if they were moved, give their new "
                "place once, with --data of `tuner confirm`, `tuner export` or the same `tuner search`"
            )
        return data

    def check_vectors(self, data: DataConfig) -> None:
        """Refuses to train where the run's word vectors are not there.

        Raises:
            RunFolderError: they are not.
        """
        if data.vectors is not None and not os.path.isfile(os.path.expanduser(data.vectors)):
            raise RunFolderError(
                f"{data.vectors}: the word vectors of {self.path.parent} are not there; if they were moved, give their "
                "new place once, with --vectors of `tuner confirm`, `tuner export` or the same `tuner search`"
            )

    def check_same_data(self, source: str, data_fingerprint: str) -> None:
        """Refuses data that has changed since the run learned from it.

        Raises:
            RunFolderError: it has changed.
        """
        if self.fingerprint is None or self.fingerprint.data != data_fingerprint:
            raise RunFolderError(
                f"{source}: differs from the data that {self.path.parent} learned from; bring the old rows back, "
                "or search again under another --name"
            )


def read_run_file(folder: RunFolder) -> RunFile:
    """The run's `run.yaml`.

    Raises:
        RunFolderError: it is missing or damaged; the message names the line or the key.
    """
    path = folder.run_file
    content = read_yaml(path, RunFolderError)
    try:
        record = _Record.model_validate({key: content[key] for key in RECORDED if key in content})
    except ValidationError as cause:
        raise RunFolderError(f"{path}: {first_problem(cause)}") from cause
    settings = {key: value for key, value in content.items() if key not in RECORDED}
    return RunFile(
        path=path,
        text=without_secrets(path.read_text(encoding="utf-8-sig", errors="replace")),
        settings={**settings, "data": data_settings(content)},
        created=record.created,
        versions=record.versions,
        fingerprint=record.fingerprint,
    )


def write_run_file(
    folder: RunFolder,
    config: SearchConfig,
    data_fingerprint: str,
    code: Mapping[str, str] | None = None,
    parts: str | None = None,
) -> None:
    """Records the requested search, with all defaults filled in; the date of the first writing stays.

    Args:
        code, parts: as for `Fingerprint.of`.

    Raises:
        RunFolderError: there is a `run.yaml` already, and it is damaged.
    """
    content = config.model_dump(
        mode="json",
        exclude_none=True,
        exclude={"space": True, "accept_changed_code": True, "starters": {"learn_from"}},
    )
    # Absolute, so that `--config` continues the run from any folder.
    content["out"] = config.out if config.is_mirrored else os.path.abspath(folder.path.parent)
    if config.storage_path is not None:
        content["storage_path"] = absolute(config.storage_path)
    if config.mlflow is not None:
        content["mlflow"] = tracking_uri(config.mlflow)
    content["data"].update(_places_of(config.data))
    created = read_run_file(folder).created if folder.run_file.is_file() else None
    record = {
        "space": config.space.to_mapping(),
        **content,
        "name": config.run_name,
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": installed_versions(),
        "fingerprint": Fingerprint.of(config, data_fingerprint, code, parts).model_dump(
            exclude_none=True
        ),
    }
    write_atomically(folder.run_file, to_yaml(record))


def remember_place(folder: RunFolder, located: DataConfig) -> None:
    """Records where the run and its data lie now, after they were moved; where that cannot be written, nothing.

    A run with a copy behind a URL keeps that.

    Args:
        located: the data and word vectors, checked to be the same.
    """
    content = read_yaml(folder.run_file, RunFolderError)
    data = data_mapping(content.get("data"))
    if not isinstance(data, dict):
        return
    now = {**content, "data": {**data, **_places_of(located)}}
    if not is_url(str(content.get("out", ""))):
        now["out"] = os.path.dirname(os.path.abspath(folder.path))
    if now != content:
        with suppress(OSError):  # a read-only copy
            write_atomically(folder.run_file, to_yaml(now))


def _places_of(data: DataConfig) -> dict[str, str]:
    """The places of the data and of the word vectors, as they are found from any folder."""
    places = {"source": absolute_source(data.source)}
    if data.vectors is not None:
        places["vectors"] = absolute(data.vectors)
    return places


def check_same_search(
    folder: RunFolder,
    config: SearchConfig,
    data_fingerprint: str,
    code: Mapping[str, str] | None = None,
    parts: str | None = None,
) -> None:
    """Refuses to continue another search in this folder; see `RunFile.check_same_search`."""
    if folder.run_file.is_file():
        read_run_file(folder).check_same_search(config, data_fingerprint, code, parts)


def with_recorded_splits(folder: RunFolder, config: SearchConfig) -> SearchConfig:
    """The settings with the split rule of the run in this folder, and from before `--data-seed` with its seed.

    The same command then continues it, although it would split other rows in a new run.

    Raises:
        RunFolderError: the `run.yaml` in it is damaged.
    """
    recorded = read_run_file(folder).data if folder.run_file.is_file() else None
    if recorded is None or recorded.split_rule == config.data.split_rule:
        return config
    rows: dict[str, object] = {"split_rule": recorded.split_rule}
    if recorded.split_rule is SplitRule.SAMPLED_FIRST:
        if config.data.seed not in (0, recorded.seed):  # another one is asked for
            return config
        rows["seed"] = recorded.seed
    return config.model_copy(update={"data": config.data.model_copy(update=rows)})


def installed_versions() -> dict[str, str]:
    """Keras' backend, and the versions of Python and of the packages that a run's figures may depend on."""
    backend, _ = keras_backend()
    versions = {"python": platform.python_version(), "backend": str(backend)}
    for package in _RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
