"""The run's Optuna study: the only memory of a search. Opens it, builds its sampler and pruner, tells it of trials.

Everything that is known of a trial lies in the study: parameters, every epoch's value, its state, and the user
attributes that `tuner.run.records` names and reads. Must not import Ray or Keras.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from tuner.errors import RunFolderError
from tuner.run.journal import open_journal
from tuner.run.optuna_internals import enqueued_parameters, storage_of
from tuner.run.records import (
    Attribute,
)

STUDY_NAME = "tuner"
CONFIRMATION = "confirmation"  # the name of the study of the finalists, in the same journal
_NO_STUDY = "holds no study of tuner; search again under another --name"


def load_study(journal: Path, name: str = STUDY_NAME, *, read_only: bool = False) -> optuna.Study:
    """The study called `name` in `journal`, for reading; `read_only` refuses anything else.

    Raises:
        RunFolderError: the file is missing, damaged or holds no study of ours.
    """
    if not journal.is_file():
        raise RunFolderError(f"{journal}: no such file; `tuner search` makes one")
    try:
        return optuna.load_study(
            study_name=name, storage=open_journal(journal, read_only=read_only)
        )
    except KeyError as cause:
        raise RunFolderError(f"{journal}: {_NO_STUDY}") from cause


def study_beside(study: optuna.Study, name: str) -> optuna.Study | None:
    """Another study of the same journal, read with it; None where there is none."""
    storage = storage_of(study)
    names = [each.study_name for each in storage.get_all_studies()]
    return optuna.load_study(study_name=name, storage=storage) if name in names else None


def _is_known(study: optuna.Study, parameters: Mapping[str, Any]) -> bool:
    """Whether an earlier start was killed after it enqueued this baseline."""
    return any(
        enqueued_parameters(trial) == dict(parameters) for trial in study.get_trials(deepcopy=False)
    )


def _has_retry(study: optuna.Study, number: int) -> bool:
    return any(
        trial.user_attrs.get(Attribute.RETRY_OF) == number
        for trial in study.get_trials(deepcopy=False)
    )
