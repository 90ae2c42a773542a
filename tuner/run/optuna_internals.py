"""Every use of Optuna's private parts, each with its reason: the one module to look at when Optuna changes.

`tests/run/test_optuna_internals.py` fails when Optuna changes one of them, and `tests/test_private_parts.py` when
another module uses one. Written for Optuna 5.0. Must not import Ray or Keras.
"""

import copy
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.storages.journal._file import LOCK_FILE_SUFFIX
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import FrozenTrial, TrialState

_ENQUEUED = "fixed_params"


def storage_of(study: optuna.Study) -> BaseStorage:
    """The storage that a study lies in.

    `Study` hides it, though `optuna.load_study` and `optuna_dashboard.wsgi` want it. A second storage would replay the
    whole journal once more (https://github.com/optuna/optuna/issues/6365 asks for public ways to what it knows).
    """
    return study._storage


def id_of_study(study: optuna.Study) -> int:
    """The number of a study within its storage: entries of a journal and addresses in the dashboard name it.

    https://github.com/optuna/optuna/issues/6365 uses it in the same way.
    """
    return study._study_id


def id_of_trial(trial: FrozenTrial) -> int:
    """The number of a trial within its storage, where all studies count together; entries of a journal name it.

    https://github.com/optuna/optuna/issues/2987 is about it and `trial.number`.
    """
    return trial._trial_id


def frozen(trial: optuna.Trial) -> FrozenTrial:
    """A running trial, with everything that the study knows of it.

    A `Trial` shows only what was set through it, and not its values. `study.get_trials()[trial.number]` shows all,
    but copies a list of all trials each time (https://github.com/optuna/optuna/issues/5647).
    """
    return trial.study._storage.get_trial(trial._trial_id)


def set_user_attributes(
    study: optuna.Study, trial: FrozenTrial, attributes: Mapping[str, Any]
) -> None:
    """Sets attributes of a trial that another process asked for, or that still waits.

    Optuna offers this for trials of this process only (https://github.com/optuna/optuna/issues/2987).
    """
    for name, value in attributes.items():
        study._storage.set_trial_user_attr(trial._trial_id, str(name), value)


def set_system_attribute(study: optuna.Study, trial: FrozenTrial, name: str, value: Any) -> None:
    """Sets an attribute of Optuna's own, as its pruners do: see `SuccessiveHalvingPruner.prune`.

    Pruners are given a `FrozenTrial`, which cannot be written through any public way
    (https://github.com/optuna/optuna/issues/3088 quotes the same line).
    """
    study._storage.set_trial_system_attr(trial._trial_id, name, value)


def rung_attribute(rung: int) -> str:
    """The system attribute in which `SuccessiveHalvingPruner` keeps a rung's score.

    Ours has the same name, so that a study can be continued with Optuna's pruner, and runs of earlier versions with
    ours. See `optuna/pruners/_successive_halving.py`, `_completed_rung_key`
    (https://github.com/optuna/optuna/pull/236 brought it).
    """
    return f"completed_rung_{rung}"


def fail_waiting(study: optuna.Study, trial: FrozenTrial) -> None:
    """Fails a trial that waits or runs: `study.tell` refuses one that waits (optuna/study/_tell.py)."""
    study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def enqueued_parameters(trial: FrozenTrial) -> dict[str, Any]:
    """The parameters that a trial was enqueued with, used or not.

    They become `trial.params` one by one as they are suggested; until then only a system attribute has them
    (https://github.com/optuna/optuna/issues/4474).
    """
    return dict(trial.system_attrs.get(_ENQUEUED, {}))


def with_enqueued_parameters(trial: FrozenTrial, parameters: Mapping[str, Any]) -> FrozenTrial:
    """The trial as if it had been enqueued with these: see above."""
    made = copy.copy(trial)
    made.system_attrs = {**trial.system_attrs, _ENQUEUED: dict(parameters)}
    return made


def lock_of(journal: Path) -> Path:
    """The lock file that a writer makes beside a journal.

    A writer that is killed leaves it, and the next one waits 30 s for it (optuna/storages/journal/_file.py,
    `JournalFileOpenLock`).
    """
    return journal.with_name(f"{journal.name}{LOCK_FILE_SUFFIX}")


class JournalReplay:
    """Replays entries of a journal one by one, to find the first that is damaged.

    `JournalStorage` replays all of them at once and does not tell at which it failed
    (https://github.com/optuna/optuna/issues/5138 is about such a journal).
    """

    def __init__(self) -> None:
        self._result = JournalStorageReplayResult("")

    def apply(self, entry: Any) -> None:
        """Replays one entry. Whatever this raises means that the entry is damaged."""
        self._result.apply_logs([entry])


def random_choice(sampler: optuna.samplers.TPESampler, count: int) -> int:
    """One of the numbers below `count`, drawn from the sampler's own random state.

    So that one seed decides all that a sampler draws. Samplers keep their state to themselves
    (optuna/samplers/_tpe/sampler.py, `TPESampler.__init__`).
    """
    return int(sampler._rng.rng.randint(count))


class PartOfStudy:
    """A study of which a sampler sees some trials only.

    TPE reads all trials at every suggestion, which takes longer the more there are
    (https://github.com/optuna/optuna/issues/2172). It asks for them by a private method,
    `study._get_trials(deepcopy, states, use_cache)`; everything else is the study's.
    """

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        self._study = study
        self.trials = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        """The trials as samplers ask for them, not copied: samplers only read."""
        return [trial for trial in self.trials if states is None or trial.state in states]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)


def trials_of_other_studies(study: optuna.Study) -> Iterable[FrozenTrial]:
    """The trials of all other studies in the same storage; `optuna.load_study` would want each one's name."""
    for other in study._storage.get_all_studies():
        if other._study_id != study._study_id:
            yield from study._storage.get_all_trials(other._study_id, deepcopy=False)
