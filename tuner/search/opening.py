"""Creates the study of a search, or opens it; in a wider space it is written once more, in terms of that.

Must not import Ray or Keras.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

from tuner.errors import RunFolderError
from tuner.files import atomic_file
from tuner.kill_points import KillPoint, kill_point
from tuner.run.attributes import Attribute
from tuner.run.journal import NO_STUDY, SEARCH, mend_end, open_journal, search_in
from tuner.run.records import StudyReader
from tuner.search.pruner import make_pruner
from tuner.search.starters import first_trials
from tuner.search.study import SearchStudy
from tuner.search.widening import widen
from tuner.settings.config import PrunerName, SamplerName
from tuner.settings.objectives import Objectives
from tuner.settings.space import SearchSpace
from tuner.settings.starters import Starter
from tuner.settings.widening import not_held, other_space_text, widened


def create_or_open_study(
    journal: Path,
    space: SearchSpace,
    *,
    seed: int,
    sampler: SamplerName,
    pruner: PrunerName,
    max_epochs: int,
    workers: int,
    objectives: Objectives,
    starters: Sequence[Starter] = (),
) -> SearchStudy:
    """The study in `journal`, made with its baselines and starters if it is new, widened if `space` holds its own.

    The caller holds the run folder's lock.

    Raises:
        RunFolderError: the file is damaged, holds no study of ours, or one of another space or other objectives.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    if journal.is_file() and journal.stat().st_size:
        mend_end(journal)
    else:
        # Made under another name, so that no reader sees a study without its space.
        with atomic_file(journal) as fresh:
            made = _open_or_create(open_journal(fresh), fresh, objectives)
            _fill(made, space, objectives, starters)
    storage = open_journal(journal)
    study = _open_or_create(storage, journal, objectives)
    if Attribute.SPACE not in study.user_attrs:  # all that was left of a torn one
        _fill(study, space, objectives, starters)
    if StudyReader(study).objectives != objectives:
        raise RunFolderError(
            f"{journal}: belongs to a search with other objectives; choose another --name, or ask for the same"
        )
    narrow = StudyReader(study).space
    more: tuple[str, ...] = ()
    if narrow.identity() != space.identity():
        if reason := not_held(narrow, space):
            raise RunFolderError(f"{journal}: {other_space_text(reason)}")
        study = widen(storage, study, space, journal)
        more = widened(narrow, space)
    study.pruner = make_pruner(pruner, max_epochs, space.metric)
    found = SearchStudy(study, space, seed=seed, sampler=sampler, workers=workers)
    found.widened = more
    return found


def _open_or_create(storage: JournalStorage, journal: Path, objectives: Objectives) -> optuna.Study:
    study = search_in(storage)
    if study is not None:
        return study
    if journal.stat().st_size:
        raise RunFolderError(f"{journal}: {NO_STUDY}")
    return optuna.create_study(
        storage=storage,
        study_name=SEARCH,
        directions=objectives.directions,
    )


def _fill(
    study: optuna.Study, space: SearchSpace, objectives: Objectives, starters: Sequence[Starter]
) -> None:
    if len(study.directions) == len(objectives.names) > 1:
        with warnings.catch_warnings():  # still called experimental; Optuna's own plots use them
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(objectives.names)
    for parameters, attributes in first_trials(study, space, starters):
        study.enqueue_trial(parameters, user_attrs=attributes)
        kill_point(KillPoint.BASELINE_ENQUEUED)
    study.set_user_attr(Attribute.SPACE, space.to_mapping())
