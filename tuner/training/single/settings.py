"""The settings of `tuner train` besides the configurations. Read by `tuner --help`, so it loads nothing heavy."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from tuner.settings.data import DataConfig
from tuner.settings.declarations import Group, Setting, by_path, declared_settings, validated
from tuner.settings.quantities import GpusPerTrial
from tuner.settings.validation import Strict


class Settings(Strict):
    """The settings besides the configurations; None is the row's own value, or the default."""

    data: DataConfig | None = None
    epochs: Annotated[
        int | None,
        Field(ge=1),
        Setting(Group.BUDGET, "Epochs to train", "N", unset="the row's, or 9"),
    ] = None
    seed: Annotated[
        int | None,
        Field(ge=0, lt=2**31),
        Setting(
            Group.SEARCH,
            "The seed of a search whose trial this could be",
            "N",
            unset="the row's, or 0",
        ),
    ] = None
    cpus: Annotated[
        float | None,
        Field(ge=0.001),
        Setting(Group.RESOURCES, "CPUs to train on", "N", unset="the row's, or 1"),
    ] = None
    gpus: Annotated[
        GpusPerTrial | None,
        Setting(
            Group.RESOURCES,
            "GPUs to train on, fractions allowed",
            "N",
            unset="the row's, or 1 where TensorFlow can use a GPU",
        ),
    ] = None


TRAIN_SETTINGS = declared_settings(Settings)


def make_settings(flags: Mapping[str, object]) -> Settings:
    """The settings that these flags ask for; None is not given.

    Raises:
        ConfigError: in one line, which flag breaks which rule.
    """
    return validated(Settings, by_path(TRAIN_SETTINGS, flags), "flags")
