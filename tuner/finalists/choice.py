"""The choice of the finalists that make the model to test or export."""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.data import Dataset, load_dataset
from tuner.errors import RunFolderError, UsageError
from tuner.finalists.ranking import Finalist, better_since, read_finalists
from tuner.run import Run
from tuner.run.records import TrialRecord
from tuner.settings.config import SearchConfig, TrainerName
from tuner.text import count_text
from tuner.training.own_modules import check_named


@dataclass(frozen=True)
class FinalistChoice:
    """Places in `finalists.csv`."""

    finalist: int = 1  # its rank
    ensemble: int = 1  # so many from there on, averaged


@dataclass(frozen=True)
class Chosen:
    """A run, its data, and those of its finalists that make a model."""

    run: Run
    config: SearchConfig
    dataset: Dataset
    finalists: Sequence[Finalist]
    choice: FinalistChoice  # that names them
    better_since: TrialRecord | None  # a trial that the search has found since, not confirmed


def load_chosen(run: Run, choice: FinalistChoice) -> Chosen:
    """The finalists that `choice` names, of a run.

    Raises:
        UsageError: its data has changed, it has fewer finalists, or one of them is code that the person has not named.
    """
    config = run.recorded.config
    if config.trainer is TrainerName.TOY:
        raise RunFolderError(f"{run.folder}: this run was a rehearsal, its trials trained nothing")
    dataset = load_dataset(config.data, seed=config.seed)
    run.recorded.check_same_data(config.data.source, dataset.fingerprint)
    chosen = chosen_finalists(read_finalists(run, dataset), choice)
    check_named((each.record.architecture for each in chosen), run.folder)
    return Chosen(run, config, dataset, chosen, choice, better_since(run))


def chosen_finalists(finalists: Sequence[Finalist], choice: FinalistChoice) -> list[Finalist]:
    """The finalists that `choice` names.

    Raises:
        UsageError: there are not so many.
    """
    for name, value in vars(choice).items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"{name}: must be a whole number, got {value!r}")
    first, last = choice.finalist, choice.finalist + choice.ensemble - 1
    if first < 1 or choice.ensemble < 1 or last > len(finalists):
        raise UsageError(
            f"finalist {choice.finalist}, ensemble {choice.ensemble}: this run has "
            f"{count_text(len(finalists), 'finalist')}; ask for some of them, or confirm more"
        )
    return list(finalists[first - 1 : last])
