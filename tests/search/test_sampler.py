"""Suggestions: TPE's own as long as a study is small, and never more of a study than a bounded part."""

import math
import statistics
import warnings

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from support.examples import examples

from tuner.search import sampler as sampling
from tuner.search.sampler import best_and_latest, make_sampler
from tuner.settings.config import SamplerName
from tuner.settings.metric import Metric, MetricName, Mode
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost, Objectives
from tuner.settings.pareto_fronts import front
from tuner.settings.space import ARCHITECTURE


def objective(trial: optuna.Trial) -> float:
    """Conditional, as our spaces are."""
    score = -((trial.suggest_float("rate", 0.0, 1.0) - 0.3) ** 2)
    if trial.suggest_categorical("kind", ["plain", "wide"]) == "wide":
        score += 0.1 * trial.suggest_int("width", 1, 9)
    return score


def searched(
    trials: int, make, objective=objective, directions=("maximize",)
) -> list[dict[str, object]]:
    study = optuna.create_study(directions=directions)
    for number in range(trials):
        study.sampler = make(number)
        trial = study.ask()
        study.tell(trial, objective(trial))
    return [trial.params for trial in study.get_trials()]


def quarter(scored: int) -> int:
    return min(math.ceil(scored / 4), 25)


def plain_tpe(seed: int) -> optuna.samplers.TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return optuna.samplers.TPESampler(
            n_startup_trials=5,
            gamma=quarter,
            multivariate=True,
            group=True,
            constant_liar=True,
            seed=seed,
        )


BY_SCORE = MetricAlone(Metric())
BY_TWO = MetricAndCost(Metric(), Cost.WEIGHTS)


def bounded(seed: int, objectives: Objectives = BY_SCORE) -> optuna.samplers.BaseSampler:
    return make_sampler(SamplerName.TPE, objectives, number=0, seed=seed, workers=2)


def bounded_by_two(seed: int) -> optuna.samplers.BaseSampler:
    return bounded(seed, BY_TWO)


def test_small_studies_get_tpes_own_suggestions() -> None:
    assert searched(40, bounded) == searched(40, plain_tpe)


def two_objectives(trial: optuna.Trial) -> tuple[float, float]:
    """The score, which a larger width makes better, and the width."""
    score = objective(trial)
    return score, trial.params.get("width", 0)


def test_small_studies_by_two_objectives_get_tpes_own_suggestions() -> None:
    directions = ["maximize", "minimize"]
    assert searched(60, bounded_by_two, two_objectives, directions) == searched(
        60, plain_tpe, two_objectives, directions
    )


def test_two_objectives_are_searched_where_a_study_is_shown_in_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "_LATEST", 40)
    monkeypatch.setattr(sampling, "_BEST", 10)
    parameters = searched(120, bounded_by_two, two_objectives, ["maximize", "minimize"])
    off = [abs(trial["rate"] - 0.3) for trial in parameters]  # every width is at its best at 0.3
    assert sum(off[60:]) < 0.7 * sum(abs(trial / 60 - 0.3) for trial in range(60))
    assert {trial.get("width", 0) for trial in parameters[60:]} >= set(range(0, 10, 3))


def test_a_parameter_that_no_remembered_trial_has_can_be_suggested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampling, "_LATEST", 1)
    monkeypatch.setattr(sampling, "_BEST", 0)

    parameters = searched(30, bounded)

    assert {"plain", "wide"} == {trial["kind"] for trial in parameters}
    assert all("width" in trial for trial in parameters if trial["kind"] == "wide")


@given(st.integers(0, 1000))
@settings(max_examples=examples(20))
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
    assert tried[:6].count("bad") == 2


@pytest.mark.parametrize(("finished", "learns"), [(200, True), (199, False)])
def test_it_learns_also_where_more_trials_run_at_once_than_it_is_shown(
    finished: int, learns: bool
) -> None:
    study = optuna.create_study(direction="maximize")
    rate = FloatDistribution(0.0, 1.0)
    for number in range(finished):
        params, space = {"rate": number / finished}, {"rate": rate}
        study.add_trial(create_trial(params=params, distributions=space, value=float(number)))
    sampler = make_sampler(SamplerName.TPE, BY_SCORE, number=0, seed=0, workers=500)
    study.ask()
    trial = study.get_trials()[-1]
    known = sampler.infer_relative_search_space(study, trial)
    assert bool(sampler.sample_relative(study, trial, known)) is learns


def test_random_sampler_follows_its_seed() -> None:
    def random(seed: int) -> optuna.samplers.BaseSampler:
        return make_sampler(SamplerName.RANDOM, BY_TWO, number=0, seed=seed, workers=2)

    assert searched(5, random) == searched(5, random)


def test_every_second_trial_is_drawn_at_random_after_the_first_ones() -> None:
    def drawn(name: SamplerName) -> list[dict[str, object]]:
        return searched(40, lambda n: make_sampler(name, BY_SCORE, number=n, seed=7 + n, workers=2))

    mixed, at_random = drawn(SamplerName.MIXED), drawn(SamplerName.RANDOM)

    assert mixed[:5] == drawn(SamplerName.TPE)[:5]
    assert mixed[5::2] == at_random[5::2]
    widths = [[each.get("width", 0) for each in of[20::2]] for of in (mixed, at_random)]
    assert statistics.fmean(widths[0]) > 2 * statistics.fmean(widths[1])  # the others learn


STATES = st.sampled_from(
    [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL]
)


def trial_of(state: TrialState, value: float, number: int) -> FrozenTrial:
    trial = create_trial(state=state, value=value if state is TrialState.COMPLETE else None)
    trial.number = number
    return trial


@given(
    st.lists(st.tuples(STATES, st.floats(-1, 1)), max_size=400),
    st.sampled_from([Metric(), Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN)]),
)
def test_tpe_sees_the_running_the_best_and_the_latest_trials(
    told: list[tuple[TrialState, float]], metric: Metric
) -> None:
    trials = [trial_of(state, value, number) for number, (state, value) in enumerate(told)]

    chosen = best_and_latest(trials, MetricAlone(metric))

    numbers = [trial.number for trial in chosen]
    assert numbers == sorted(set(numbers))
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    scored = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    latest = scored[-sampling._LATEST :]
    values = sorted(
        (t.value for t in scored if t.state is TrialState.COMPLETE),
        reverse=metric == Metric(),
    )
    assert {t.number for t in running} | {t.number for t in latest} <= set(numbers)
    assert len(chosen) <= len(running) + sampling._LATEST + sampling._BEST
    best = sorted(
        (t.value for t in chosen if t.state is TrialState.COMPLETE),
        reverse=metric == Metric(),
    )
    assert best[: sampling._BEST] == values[: sampling._BEST]


@given(
    st.lists(
        st.tuples(STATES, st.integers(0, 20).map(float), st.integers(0, 20).map(float)),
        max_size=60,
    )
)
def test_of_two_objectives_the_first_fronts_are_the_best(
    told: list[tuple[TrialState, float, float]],
) -> None:
    trials = []
    for number, (state, score, cost) in enumerate(told):
        values = [score, cost] if state is TrialState.COMPLETE else None
        trials.append(create_trial(state=state, values=values))
        trials[-1].number = number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "_LATEST", 0)
        patch.setattr(sampling, "_BEST", 5)
        chosen = best_and_latest(trials, BY_TWO)

    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    best = [trial for trial in chosen if trial.state is TrialState.COMPLETE]
    leaders = [complete[at] for at in front([(-t.values[0], t.values[1]) for t in complete])]
    assert len(best) == min(5, len(complete))
    assert all(leader in best for leader in leaders) or all(trial in leaders for trial in best)
    assert len(chosen) == len(best) + sum(t.state is TrialState.RUNNING for t in trials)
