"""Suggestions: TPE's own as long as a study is small, and never more of a study than a bounded part."""

import warnings

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner import sampling
from tuner.config import SamplerName
from tuner.sampling import best_and_latest, make_sampler
from tuner.space import ARCHITECTURE


def objective(trial: optuna.Trial) -> float:
    """Conditional, as our spaces are."""
    score = -((trial.suggest_float("rate", 0.0, 1.0) - 0.3) ** 2)
    if trial.suggest_categorical("kind", ["plain", "wide"]) == "wide":
        score += 0.1 * trial.suggest_int("width", 1, 9)
    return score


def searched(trials: int, make) -> list[dict[str, object]]:
    study = optuna.create_study(direction="maximize")
    for number in range(trials):
        study.sampler = make(number)
        trial = study.ask()
        study.tell(trial, objective(trial))
    return [trial.params for trial in study.get_trials()]


def plain_tpe(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=10, multivariate=True, group=True, constant_liar=True, seed=seed
        )


def bounded(seed: int) -> optuna.samplers.BaseSampler:
    return make_sampler(SamplerName.TPE, seed=seed, workers=2)


def test_small_studies_get_tpes_own_suggestions() -> None:
    assert searched(40, bounded) == searched(40, plain_tpe)


def test_a_parameter_that_no_remembered_trial_has_can_be_suggested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "_LATEST", 1)
    monkeypatch.setattr(sampling, "_BEST", 0)

    parameters = searched(30, bounded)

    assert {"plain", "wide"} == {trial["kind"] for trial in parameters}
    assert all("width" in trial for trial in parameters if trial["kind"] == "wide")


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_first_trials_see_every_architecture_equally_often(seed: int) -> None:
    study = optuna.create_study()
    names = ["a", "b", "c", "d"]
    for number in range(8):
        study.sampler = bounded(1000 * seed + number)
        study.ask().suggest_categorical(ARCHITECTURE, names)  # as many running as there are

    tried = [trial.params[ARCHITECTURE] for trial in study.get_trials()]
    assert sorted(tried) == sorted(2 * names)


def test_architectures_that_were_enqueued_count_as_tried() -> None:
    study = optuna.create_study()
    study.enqueue_trial({ARCHITECTURE: "a"})
    for number in range(2):
        study.sampler = bounded(number)
        study.ask().suggest_categorical(ARCHITECTURE, ["a", "b"])

    assert [trial.params[ARCHITECTURE] for trial in study.get_trials()] == ["a", "b"]


def test_an_architecture_that_always_fails_is_not_drawn_every_time() -> None:
    study = optuna.create_study(direction="maximize")
    for number in range(40):
        study.sampler = bounded(number)
        trial = study.ask()
        if trial.suggest_categorical(ARCHITECTURE, ["a", "b", "bad"]) == "bad":
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, trial.suggest_float("rate", 0, 1))

    tried = [trial.params[ARCHITECTURE] for trial in study.get_trials()]
    assert tried[:15].count("bad") == 5


def test_random_sampler_follows_its_seed() -> None:
    def random(seed: int) -> optuna.samplers.BaseSampler:
        return make_sampler(SamplerName.RANDOM, seed=seed, workers=2)

    assert searched(5, random) == searched(5, random)


STATES = st.sampled_from(
    [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL]
)


def trial_of(state: TrialState, value: float, number: int) -> FrozenTrial:
    trial = create_trial(state=state, value=value if state is TrialState.COMPLETE else None)
    trial.number = number
    return trial


@given(
    st.lists(st.tuples(STATES, st.floats(-1, 1)), max_size=400),
    st.sampled_from([StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]),
)
def test_shows_what_runs_the_best_and_the_latest(
    told: list[tuple[TrialState, float]], direction: StudyDirection
) -> None:
    trials = [trial_of(state, value, number) for number, (state, value) in enumerate(told)]

    chosen = best_and_latest(trials, direction)

    numbers = [trial.number for trial in chosen]
    assert numbers == sorted(set(numbers))
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    scored = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    latest = scored[-sampling._LATEST :]
    values = sorted(
        (t.value for t in scored if t.state is TrialState.COMPLETE),
        reverse=direction is StudyDirection.MAXIMIZE,
    )
    assert {t.number for t in running} | {t.number for t in latest} <= set(numbers)
    assert len(chosen) <= len(running) + sampling._LATEST + sampling._BEST
    best = sorted(
        (t.value for t in chosen if t.state is TrialState.COMPLETE),
        reverse=direction is StudyDirection.MAXIMIZE,
    )
    assert best[: sampling._BEST] == values[: sampling._BEST]
