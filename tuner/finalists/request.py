"""The settings of a confirmation, checked before anything is read or started. Must not import Ray or Keras."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from tuner.run.folder import RunFolder
from tuner.run.requested_trainings import MARGIN
from tuner.run.run_file import read_run_file
from tuner.run.train_on import TrainOn
from tuner.settings.config import PrunerName, SearchConfig, make_config
from tuner.settings.data import data_mapping
from tuner.settings.declarations import Group, Names, Setting, declared_in, declared_settings
from tuner.settings.validation import Strict
from tuner.training.own_modules import check_named

# Finalists would be further trials of the same numbers; all that are asked for are trained.
_OF_SEARCHES = ("tensorboard", "mlflow", "stop_when_flat")


class Request(Strict):
    """The trials that a confirmation trains, how often, and on which splits."""

    top: Annotated[
        int,
        Field(ge=1),
        Setting(Group.BUDGET, "Best trials to confirm; of two objectives, those on the front", "N"),
    ] = 5
    seeds: Annotated[int, Field(ge=1), Setting(Group.BUDGET, "Fresh seeds per trial", "N")] = 5
    train_on: Annotated[
        TrainOn,
        Setting(
            Group.DATA,
            "Splits that finalists learn from; train+validation trains for the median best epoch of fresh seeds on "
            "train, or else of the search's complete trials",
        ),
    ] = TrainOn.TRAIN
    margin: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        Setting(
            Group.BUDGET,
            "How much worse than the best finalist is as good as it, in units of the metric; the smallest finalist "
            "that is shown to be so near is recommended",
            "SCORE",
        ),
    ] = MARGIN


# Settings of the search that a confirmation has its own of, and their defaults.
_RESOURCES = {
    "cpus_per_trial": "as in the search",
    "gpus_per_trial": "as in the search",
    "mps": "as in the search",
    "max_concurrent": "as many as fit",
    "storage_path": "as in the search",
    "address": "this machine alone",
    "accept_changed_code": "refused",
}
_MOVED = {
    keyword: Setting(
        Group.DATA,
        f"Where the {what} of the run lie now, if they were moved; recorded",
        "PATH",
        unset="as recorded",
        name=keyword,
    )
    for keyword, what in (("data", "data"), ("vectors", "word vectors"))
}
CONFIRM_SETTINGS = (
    *declared_settings(Request),
    *(
        setting.with_default(_RESOURCES[setting.keyword])
        for setting in declared_settings(SearchConfig)
        if setting.keyword in _RESOURCES
    ),
    *(
        replace(each, setting=_MOVED[each.keyword])
        for each in declared_settings(SearchConfig)
        if each.keyword in _MOVED
    ),
)


def make_request(settings: Mapping[str, object], names: Names = "keywords") -> Request:
    """The request in `settings`, which may hold other settings of a confirmation, too; None is not given.

    Raises:
        ConfigError: in one line, which breaks which rule.
    """
    return declared_in(Request, settings, names)


def confirmation_config(
    folder: RunFolder,
    settings: Mapping[str, object],
    names: Names = "keywords",
) -> SearchConfig:
    """The run's own settings, but for where it lies and what trains it.

    Args:
        settings: those that this machine has its own of (CPUs, GPUs, an address, shared storage), among others; None
            is not given.
        names: how messages call them.

    Raises:
        ConfigError: one of them breaks a rule.
        SpaceError: the run names a module that the person has not named.
    """
    run_file = read_run_file(folder)
    recorded = run_file.config
    given_data = data_mapping(settings.get("data"))
    moved = given_data if isinstance(given_data, dict) else {}
    data = run_file.located_data(moved.get("source"), moved.get("vectors", settings.get("vectors")))
    run_file.check_vectors(data)
    check_named(recorded.space.architectures, folder.path)
    # Not checked: a copy of a run folder may have a name that no new run can have.
    place = {"out": os.path.dirname(os.path.abspath(folder.path)), "name": folder.name}
    if recorded.is_mirrored and recorded.folder == folder.path:  # the copy is kept up to date
        place = {"out": recorded.out, "name": recorded.run_name}
    given = {name: settings[name] for name in _RESOURCES if settings.get(name) is not None}
    asked = {
        "data": data.model_dump(),
        **recorded.model_dump(
            exclude={"space", "data", "time_budget", "max_concurrent", "address", *_OF_SEARCHES}
        ),
        "space": recorded.space,
        "pruner": PrunerName.NONE,
        **given,
    }
    config = make_config(asked, names=names)
    if config.storage_path is not None:
        # What an interrupted search left there is not ours to remove.
        place["storage_path"] = f"{config.storage_path}/confirmation"
    return config.model_copy(update=place)
