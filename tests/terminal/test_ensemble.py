"""The ensemble of a search on the screen."""

import json
from pathlib import Path

import pytest
from support.commands import run_tuner
from support.ensembles import RECORD, Searched
from support.studies import open_study, run_trial

from tuner.execution.plan import SearchOutcome
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.ensemble import NO_MODELS, EnsembleRecord, EnsembleWithReference
from tuner.run.reference_record import Comparison, ReferenceRecord
from tuner.run.run_file import write_run_file
from tuner.run.sessions import SessionEnd
from tuner.run.state import read_run_state
from tuner.run.trial_status import TrialStatus
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost
from tuner.settings.space import SearchSpace
from tuner.terminal.ensemble import ensemble_lines
from tuner.terminal.outcome import print_outcome
from tuner.terminal.run_state import state_json, state_lines

FIGURES = (
    "3 trials averaged 0.7400, best single 0.7270 (trial 7): gain +0.0130 (95 % interval +0.0031 to +0.0229) on 850 "
    "confirmation sequences"
)


def test_figures_members_and_costs_are_two_lines() -> None:
    alone = MetricAlone(Metric())
    assert ensemble_lines(RECORD, {}, alone) == [
        FIGURES,
        "trials 7, 3 and 12; 1,023,000 weights, 4.1 MB; 2.3 ms per text; without trial 5, whose weights are missing",
    ]
    assert ensemble_lines(None, {}, alone) == []
    assert ensemble_lines(None, {TrialStatus.COMPLETE: 1}, alone) == [NO_MODELS]


def test_one_trial_is_not_called_an_average() -> None:
    one = EnsembleRecord.model_validate({**RECORD.model_dump(), "members": (7,), "left_out": ()})
    assert one.text == "best single 0.7270 (trial 7) on 850 confirmation sequences"
    assert one.cost_text.startswith("trial 7; ")


def test_a_search_by_two_objectives_tells_why_it_keeps_nothing() -> None:
    both = MetricAndCost(Metric(), Cost.WEIGHTS)
    (line,) = ensemble_lines(None, {TrialStatus.COMPLETE: 1}, both)
    assert line.startswith(f"{NO_MODELS}: an average costs as much as its members together")


@pytest.fixture
def searched(tmp_path: Path, space: SearchSpace) -> Searched:
    """Three trials, and the settings of their search."""
    made = Searched(tmp_path / "x", space)
    for score in (0.7, 0.9, 0.8):
        made.complete(score)
    config = make_config({"space": space, "out": str(tmp_path), "name": "x", "trials": 3})
    write_run_file(made.folder, config, "data")
    return made


def test_the_end_of_a_search_shows_it_and_the_command_that_exports_it(
    searched: Searched, space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(searched.folder.path)
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), SearchConfig(space=space, trials=3))
    lines = capsys.readouterr().out.splitlines()
    assert f"Ensemble:    {searched.record.text}" in lines
    assert f"             {searched.record.cost_text}" in lines
    command = f"tuner export {run.folder} --members trials"
    assert f"             {command}   # the ensemble, as one model" in lines


@pytest.mark.parametrize(
    ("gain", "of_reference", "is_offered"),
    [(0.01, None, False), (-0.01, None, True), (-0.01, 0.02, False), (-0.01, 0.005, True)],
)
def test_the_end_offers_the_first_trial_alone_where_the_average_scored_less(
    searched: Searched,
    space: SearchSpace,
    capsys: pytest.CaptureFixture[str],
    gain: float,
    of_reference: float | None,
    is_offered: bool,
) -> None:
    interval = {"averaged": 0.8, "low": 0.7, "high": 0.9, "gain_low": -0.1, "gain_high": 0.1}
    together = (
        EnsembleWithReference(weight=0.5, gain=of_reference, weights=9, **interval)
        if of_reference is not None
        else None
    )
    ensemble = RECORD.model_copy(update={"gain": gain, "with_reference": together})
    searched.study.study.set_user_attr(Attribute.ENSEMBLE, ensemble.model_dump(mode="json"))
    run = Run(searched.folder.path)
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), SearchConfig(space=space))
    offer = f"tuner export {run.folder} --members trials --ensemble 1   # trial 7 alone, which scored better"
    assert (f"             {offer}" in capsys.readouterr().out.splitlines()) == is_offered


def test_a_reference_that_costs_accuracy_is_said_to_be_chosen_by_the_loss() -> None:
    interval = {"averaged": 0.8, "low": 0.7, "high": 0.9, "gain_low": -0.1, "gain_high": 0.1}
    for gain, end in ((-0.002, "+0.1000); its part is chosen by the loss"), (0.002, "+0.1000)")):
        together = EnsembleWithReference(weight=0.5, gain=gain, weights=9, **interval)
        assert together.text.endswith(end)


@pytest.mark.parametrize(("low", "is_offered"), [(0.01, False), (-0.01, True)])
def test_the_end_offers_the_linear_model_alone_where_none_is_shown_to_beat_it(
    searched: Searched,
    space: SearchSpace,
    capsys: pytest.CaptureFixture[str],
    low: float,
    is_offered: bool,
) -> None:
    worse = Comparison(name="trial 7", gain=-0.1, low=-0.2, high=-0.05)
    average = Comparison(name="the average of 2 trials", gain=0.02, low=low, high=0.05)
    reference = ReferenceRecord(
        sequences=60,
        score=0.8,
        low=0.7,
        high=0.9,
        majority=0.5,
        seconds=1,
        compared=(average, worse),
    )
    together = EnsembleWithReference(
        weight=0.5,
        averaged=0.81,
        low=0.7,
        high=0.9,
        gain=0.01,
        gain_low=0.0,
        gain_high=0.02,
        weights=9,
    )
    ensemble = searched.record.model_copy(update={"with_reference": together})
    for name, record in ((Attribute.ENSEMBLE, ensemble), (Attribute.REFERENCE, reference)):
        searched.study.study.set_user_attr(name, record.model_dump(mode="json"))
    run = Run(searched.folder.path)
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), SearchConfig(space=space))
    offer = f"tuner export {run.folder} --members reference   # the reference, which none is shown to beat"
    assert (f"             {offer}" in capsys.readouterr().out.splitlines()) == is_offered


def test_status_shows_it_as_lines_and_as_json(searched: Searched) -> None:
    state = read_run_state(Run(searched.folder.path))
    lines = state_lines(state)
    assert f"ensemble    {searched.record.text}" in lines
    assert f"            {searched.record.cost_text}" in lines
    assert json.loads(state_json(state))["ensemble"] == searched.record.model_dump(mode="json")


@pytest.mark.parametrize("clusters", [1, 5, None])
def test_that_confirmation_rows_are_of_one_group_is_told_once(
    searched: Searched,
    space: SearchSpace,
    capsys: pytest.CaptureFixture[str],
    clusters: int | None,
) -> None:
    ensemble = searched.record.model_copy(update={"clusters": clusters})
    reference = ReferenceRecord(
        sequences=60, score=0.8, low=0.7, high=0.9, majority=0.5, seconds=1, clusters=clusters
    )
    for name, record in ((Attribute.ENSEMBLE, ensemble), (Attribute.REFERENCE, reference)):
        searched.study.study.set_user_attr(name, record.model_dump(mode="json"))
    run = Run(searched.folder.path)
    print_outcome(SearchOutcome(run, SessionEnd.BUDGET_USED), SearchConfig(space=space))
    ended = capsys.readouterr().out
    board = run_tuner(["leaderboard", str(run.folder)], capsys).out
    told = "All confirmation rows are of one group: their intervals hold for further rows of this group, not "
    for text, heading in (
        (ended, "Note:        "),
        (board, "Note:      "),
        ("\n".join(state_lines(read_run_state(run))), "note        "),
    ):
        lines = [line for line in text.splitlines() if told in line]
        assert len(lines) == (clusters == 1)
        assert all(line.startswith(heading + told) for line in lines)


def test_status_shows_the_reference(searched: Searched) -> None:
    reference = ReferenceRecord(
        sequences=60, score=0.8, low=0.7, high=0.9, majority=0.5, seconds=1, is_outdated=True
    )
    before = read_run_state(Run(searched.folder.path))
    assert json.loads(state_json(before))["reference"] is None
    content = reference.model_dump(mode="json")
    searched.study.study.set_user_attr(Attribute.REFERENCE, content)
    state = read_run_state(Run(searched.folder.path))
    (line,) = (each for each in state_lines(state) if each not in state_lines(before))
    assert line == f"reference   {reference.text}"
    assert json.loads(state_json(state))["reference"] == content


def test_leaderboards_end_with_it_of_one_run_and_of_several(
    searched: Searched, tmp_path: Path, space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    run_trial(open_study(tmp_path / "old" / "study.journal", space), 0.5)
    x, old = str(searched.folder.path), str(tmp_path / "old")
    one = run_tuner(["leaderboard", x], capsys).out.splitlines()
    assert one[-2:] == [
        f"Ensemble:  {searched.record.text}",
        f"           {searched.record.cost_text}",
    ]
    assert run_tuner(["leaderboard", old], capsys).out.splitlines()[-1] == f"Ensemble:  {NO_MODELS}"
    reference = ReferenceRecord(
        sequences=9, score=0.8, low=0.7, high=0.9, majority=0.5, seconds=1, compared=()
    )
    searched.study.study.set_user_attr(Attribute.REFERENCE, reference.model_dump(mode="json"))
    last = run_tuner(["leaderboard", x], capsys).out.splitlines()[-1]
    assert last == f"Reference: {reference.text}"
    several = run_tuner(["leaderboard", x, old], capsys).out.splitlines()
    assert several[-1] == f"Ensemble of {x}: {searched.record.text}"
    assert "Ensemble" not in run_tuner(["leaderboard", x, "--format", "csv"], capsys).out
