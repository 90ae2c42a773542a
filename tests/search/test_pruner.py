"""Halving: Optuna's rule on curves that rise, scores of the best epoch on those that swing, the study as its memory."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from optuna.trial import TrialState
from support.examples import examples

from tuner.run.attributes import Attribute
from tuner.search.pruner import HalvingPruner, make_pruner
from tuner.settings.config import PrunerName
from tuner.settings.metric import Metric, MetricName, Mode

Curve = list[float]
METRICS = {
    "maximize": Metric(),
    "minimize": Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN),
}


def stops(study: optuna.Study, curve: Curve) -> int | None:
    """The epoch at which the study stops a trial with this curve."""
    trial = study.ask()
    for epoch, value in enumerate(curve, start=1):
        trial.report(value, step=epoch)
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return epoch
    study.tell(trial, max(curve))
    return None


def new_study(pruner: BasePruner, direction: str = "maximize") -> optuna.Study:
    return optuna.create_study(direction=direction, pruner=pruner)


@settings(max_examples=examples(50))
@given(
    st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9).map(sorted), max_size=15),
    st.sampled_from(["maximize", "minimize"]),
)
def test_curves_that_only_improve_stop_where_optuna_stops_them(
    curves: list[list[int]], direction: str
) -> None:
    sign = 1.0 if direction == "maximize" else -1.0
    ours = new_study(HalvingPruner(METRICS[direction]), direction)
    theirs = new_study(SuccessiveHalvingPruner(min_resource=1, reduction_factor=3), direction)

    for curve in curves:
        values = [sign * value for value in curve]
        assert stops(ours, values) == stops(theirs, values)


def test_a_swing_at_the_rung_is_forgiven() -> None:
    study = new_study(HalvingPruner(Metric()))
    for _ in range(6):
        stops(study, [0.6, 0.7, 0.8])

    assert stops(study, [0.7, 0.9, 0.5, 0.5]) is None


@pytest.mark.parametrize(("second", "is_stopped"), [(0.7, True), (0.9, False)])
def test_early_trials_are_compared_with_later_ones(second: float, is_stopped: bool) -> None:
    study = new_study(HalvingPruner(Metric()))
    first, later = study.ask(), study.ask()
    first.report(0.6, step=1)
    assert not first.should_prune()
    later.report(0.8, step=1)
    assert not later.should_prune()

    first.report(second, step=2)

    assert first.should_prune() is is_stopped


def test_a_trial_without_any_value_stops() -> None:
    assert stops(new_study(HalvingPruner(Metric())), [float("nan"), 0.9]) == 1


@settings(max_examples=examples(30))
@given(
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=9), max_size=12),
    st.integers(0, 12),
)
def test_a_resumed_study_decides_as_if_it_had_never_stopped(
    curves: list[list[float]], cut: int
) -> None:
    whole, resumed = new_study(HalvingPruner(Metric())), new_study(HalvingPruner(Metric()))
    for number, curve in enumerate(curves):
        if number == cut:
            resumed.pruner = HalvingPruner(Metric())
        assert stops(resumed, curve) == stops(whole, curve)


def test_a_trial_interrupted_by_the_end_of_the_search_is_no_competitor() -> None:
    study = new_study(HalvingPruner(Metric()))
    interrupted = study.ask()
    interrupted.report(0.9, step=1)
    interrupted.should_prune()
    interrupted.set_user_attr(Attribute.INTERRUPTED, True)
    study.tell(interrupted, state=TrialState.FAIL)

    study.pruner = HalvingPruner(Metric())  # as when it is opened again

    assert stops(study, [0.5, 0.6]) is None


@pytest.mark.parametrize("name", list(PrunerName))
def test_every_pruner_lets_the_first_and_best_trial_finish(name: PrunerName) -> None:
    assert stops(new_study(make_pruner(name, 9, Metric())), [0.5, 0.6, 0.7] * 3) is None
