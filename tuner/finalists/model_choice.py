"""The settings of a test and of an export, checked before anything is read. Must not import Ray or Keras."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from tuner.settings.data import TEST_SETTINGS, DataConfig
from tuner.settings.declarations import (
    Group,
    Names,
    Setting,
    declared_in,
    declared_settings,
    refuse_idle,
)
from tuner.settings.quantities import GpusPerTrial
from tuner.settings.validation import Strict


class MembersOf(StrEnum):
    """Whose models `tuner test` and `tuner export` take."""

    FINALISTS = "finalists"  # trained anew with fresh seeds; of each, the best seed's
    SEEDS = "seeds"  # all seeds' of these finalists
    TRIALS = "trials"  # the best of the search, as they were trained there
    REFERENCE = "reference"  # the linear reference alone


class ModelChoice(Strict):
    """The models to test or export: finalists by rank, all their seeds, trials of the search, or the reference."""

    finalist: Annotated[
        int, Field(ge=1), Setting(Group.MODEL, "Rank of the finalist in finalists.csv", "N")
    ] = 1
    ensemble: Annotated[
        int | None,
        Field(ge=1),
        Setting(
            Group.MODEL,
            "Average so many finalists, from this rank on, or trials",
            "N",
            unset="1 finalist, or as many trials as the search averages",
        ),
    ] = None
    members: Annotated[
        MembersOf | None,
        Setting(
            Group.MODEL,
            "Whose models: finalists, the best seed of each; seeds, all of theirs averaged; the search's best "
            "trials as they are; or reference, the linear reference alone",
            unset="finalists where there are some",
        ),
    ] = None
    with_reference: Annotated[
        bool,
        Setting(
            Group.MODEL,
            "Average these models with the search's linear reference, too: its part, a quarter to three quarters or "
            "nothing, is chosen on the confirmation split. Trials without an ensemble have it anyway where the search "
            "measured that it helps",
            has_opposite=False,
        ),
    ] = False
    threshold: Annotated[
        float | None,
        Field(gt=0, lt=1),
        Setting(
            Group.MODEL,
            "Of two classes: the probability above which a text is of the second one",
            "P",
            unset="the best on the confirmation split where the run's metric is an F1 or balanced accuracy, else 0.5",
        ),
    ] = None


class EvaluationRequest(ModelChoice):
    """The models to test, and what they are compared with."""

    no_reference: Annotated[
        bool,
        Setting(
            Group.MODEL,
            "Do not measure the linear reference beside the tested model; where the search kept none it is trained, in "
            "seconds. The tested model stays as it is, also with the linear reference in it",
        ),
    ] = False


class ExportRequest(ModelChoice):
    """The models to export, and whether they learn from all rows before."""

    all_rows: Annotated[
        bool,
        Setting(
            Group.MODEL,
            "Train these models again on all rows of the run, test rows too, for as many epochs as before. All figures "
            "stay those of the models before: the exported one cannot be measured on rows of this run",
            has_opposite=False,
        ),
    ] = False
    cpus: Annotated[
        float | None,
        Field(ge=0.001),
        Setting(
            Group.RESOURCES, "CPUs to train on, with --all-rows", "N", unset="as a trial of the run"
        ),
    ] = None
    gpus: Annotated[
        GpusPerTrial | None,
        Setting(
            Group.RESOURCES,
            "GPUs to train on, fractions allowed, with --all-rows",
            "N",
            unset="as a trial of the run",
        ),
    ] = None


CHOICE_SETTINGS = declared_settings(ModelChoice)
EXPORT_SETTINGS = declared_settings(ExportRequest)
EVALUATION_SETTINGS = (*declared_settings(EvaluationRequest), *TEST_SETTINGS)


def export_request(settings: Mapping[str, object], names: Names = "keywords") -> ExportRequest:
    """What to export.

    Raises:
        ConfigError: in one line, which setting breaks which rule.
    """
    request = declared_in(ExportRequest, settings, names)
    if not request.all_rows:
        shares = [each for each in EXPORT_SETTINGS if each.setting.group is Group.RESOURCES]
        refuse_idle(shares, settings, names, "--all-rows" if names == "flags" else "all_rows")
    return request


def evaluation_request(
    settings: Mapping[str, object], names: Names = "keywords"
) -> tuple[EvaluationRequest, DataConfig | None]:
    """What to test, and on which rows; None: on the run's own test split.

    Raises:
        ConfigError: in one line, which setting breaks which rule.
    """
    request = declared_in(EvaluationRequest, settings, names)
    if settings.get("data") is not None:
        return request, declared_in(DataConfig, settings, names)
    refuse_idle(TEST_SETTINGS, settings, names, "--data" if names == "flags" else "data")
    return request, None
