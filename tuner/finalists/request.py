"""What a confirmation is asked to do, checked before anything is read or started. Must not import Ray or Keras."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field, ValidationError

from tuner.errors import ConfigError
from tuner.run.folder import RunFolder
from tuner.run.run_file import read_run_file
from tuner.settings.config import PrunerName, SearchConfig, make_config
from tuner.settings.validation import Strict, first_problem

_OF_SEARCHES = ("tensorboard", "mlflow")  # finalists would be further trials of the same numbers


class TrainOn(StrEnum):
    """What finalists learn from."""

    TRAIN = "train"  # and the best epoch is chosen on the validation split, as in the search
    BOTH = "train+validation"  # as many epochs as were best in the search


class Request(Strict):
    """Whom a confirmation trains, how often, and on what."""

    top: int = Field(5, ge=1)  # finalists
    seeds: int = Field(5, ge=1)  # trials of each
    train_on: TrainOn = TrainOn.TRAIN


def make_request(**given: object) -> Request:
    """The request with these fields.

    Raises:
        ConfigError: in one line, which breaks which rule.
    """
    try:
        return Request.model_validate(given)
    except ValidationError as cause:
        raise ConfigError(first_problem(cause)) from cause


def confirmation_config(
    folder: RunFolder,
    resources: Mapping[str, object],
    names: Literal["flags", "keywords"] = "keywords",
) -> SearchConfig:
    """The run's own settings, but for where it lies and what trains it.

    Args:
        resources: settings of `SearchConfig` that this machine has its own of: CPUs, GPUs, an address.
        names: how they are called in messages.

    Raises:
        ConfigError: one of them breaks a rule.
    """
    recorded = read_run_file(folder).config
    update = {"out": str(folder.path.parent), "name": folder.path.name, "address": None}
    if recorded.is_mirrored and recorded.folder == folder.path:  # the copy is kept up to date
        update |= {"out": recorded.out, "name": recorded.run_name}
    if recorded.storage_path is not None:
        # What an interrupted search left there is not ours to remove.
        update["storage_path"] = f"{recorded.storage_path}/confirmation"
    given = {name: value for name, value in resources.items() if value is not None}
    settings = {
        **recorded.model_dump(exclude={"space", "time_budget", "max_concurrent", *_OF_SEARCHES}),
        **update,
        "space": recorded.space,
        "pruner": PrunerName.NONE,
        **given,
    }
    return make_config(settings, names=names)
