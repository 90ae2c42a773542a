"""The study as the only memory of a search."""

import errno
import json
import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from support.studies import metrics, open_study, run_trial

from tuner.errors import JournalLost, RunFolderError
from tuner.run import Run
from tuner.run.journal import SEARCH
from tuner.run.records import StudyReader, on_front, ranked
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.settings.config import SamplerName
from tuner.settings.objectives import Cost, make_objectives
from tuner.settings.space import SearchSpace
from tuner.training.spec import derive_seed


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "study.journal"


def test_baselines_run_first_and_once(journal: Path, space: SearchSpace) -> None:
    open_study(journal, space)
    study = open_study(journal, space)
    trial = study.ask()
    assert space.suggest(trial).learning_rate == 1e-3
    assert study.study.get_trials(states=(TrialState.WAITING,)) == []


def test_a_start_killed_between_two_baselines_enqueues_only_the_others(
    journal: Path, space: SearchSpace
) -> None:
    half = optuna.create_study(
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(journal))
        ),
        study_name=SEARCH,
        direction="maximize",
    )
    half.enqueue_trial(next(space.baseline_parameters()), user_attrs={"baseline": True})
    study = open_study(journal, space)
    assert len(study.study.get_trials(states=(TrialState.WAITING,))) == 1


def test_a_trials_score_is_its_best_epochs_value(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    run_trial(study, 0.7, 0.9, 0.8)
    record = StudyReader(study.study).records()[0]
    assert (record.score, record.best_epoch, len(record.curve)) == (0.9, 2, 3)
    assert study.study.trials[0].value == 0.9


def test_of_equal_epochs_the_earliest_is_the_best(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    run_trial(study, 0.7, 0.9, 0.9)
    assert StudyReader(study.study).records()[0].best_epoch == 2


def test_a_baseline_is_never_pruned_and_others_are(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    baseline, leader, laggard = study.ask(), study.ask(), study.ask()
    for trial in (baseline, leader, laggard):
        space.suggest(trial)
    assert not study.report(leader, 1, metrics(0.9))
    assert not study.report(baseline, 1, metrics(0.1))
    assert study.report(laggard, 1, metrics(0.1))


def test_trials_are_compared_with_the_baselines_too(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    baseline = study.ask()
    space.suggest(baseline)
    study.report(baseline, 1, metrics(0.9))
    worse = study.ask()
    space.suggest(worse)
    assert study.report(worse, 1, metrics(0.5))


def test_everything_known_of_a_trial_comes_back_from_the_journal(
    journal: Path, space: SearchSpace
) -> None:
    study = open_study(journal, space)
    trial = study.ask()
    space.suggest(trial)
    study.record_facts(trial, TrialFacts(seed=7, host="h", device="cpu", weights=123))
    study.report(trial, 1, metrics(0.8))
    study.finish(trial, TrialStatus.FAILED, "ValueError: no")
    study.record_seconds(12.5)
    reader = Run(journal.parent).reader
    record = reader.records()[0]
    assert (record.seed, record.host, record.device, record.weights) == (7, "h", "cpu", 123)
    assert (record.status, record.error) == (TrialStatus.FAILED, "ValueError: no")
    assert record.parameters == {"learning_rate": 1e-3, "lstm_units": 32}
    assert record.baseline
    assert reader.seconds == 12.5
    assert reader.space == space


@pytest.mark.parametrize("status", [TrialStatus.DIVERGED, TrialStatus.OUT_OF_MEMORY])
def test_the_sampler_learns_from_broken_trials(
    journal: Path, space: SearchSpace, status: TrialStatus
) -> None:
    study = open_study(journal, space)
    trial = study.ask()
    space.suggest(trial)
    study.finish(trial, status, "why")
    # TPE ignores failed trials; pruned ones without a value are among its worst.
    assert study.study.trials[0].state is TrialState.PRUNED
    assert StudyReader(study.study).records()[0].status is status


def test_a_trial_that_led_and_diverged_stops_no_other(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    baseline, leader, later = study.ask(), study.ask(), study.ask()
    for trial in (baseline, leader, later):
        space.suggest(trial)
    study.report(leader, 1, metrics(0.9))
    study.finish(leader, TrialStatus.DIVERGED, "loss became nan")

    assert not study.report(later, 1, metrics(0.5))


def test_a_resumed_search_suggests_the_same_as_an_uninterrupted_one(
    tmp_path: Path, space: SearchSpace
) -> None:
    without_pause = open_study(tmp_path / "a.journal", space, sampler=SamplerName.RANDOM)
    for accuracy in (0.7, 0.8, 0.9):
        run_trial(without_pause, accuracy)
    for accuracy in (0.7, 0.8, 0.9):
        resumed = open_study(tmp_path / "b.journal", space, sampler=SamplerName.RANDOM)
        run_trial(resumed, accuracy)
    expected = [trial.params for trial in without_pause.study.trials]
    assert [trial.params for trial in resumed.study.trials] == expected
    assert expected[1] != expected[2]


def test_tpe_takes_over_after_its_startup_trials(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    for number in range(14):
        trial = study.ask()
        units = space.suggest(trial).lstm_units
        study.report(trial, 1, metrics(0.5 + units / 1000))
        study.finish(trial, TrialStatus.COMPLETE)
        relative = set(trial.relative_params)
        assert bool(relative) == (number >= 5), f"trial {number}: {relative}"


def test_an_interrupted_trial_runs_once_more_with_its_parameters(
    journal: Path, space: SearchSpace
) -> None:
    first = open_study(journal, space)
    interrupted = first.ask()
    space.suggest(interrupted)
    second = open_study(journal, space)
    assert second.requeue_interrupted_trials() == [interrupted.number]
    third = open_study(journal, space)
    assert third.requeue_interrupted_trials() == []
    retry = third.ask()
    space.suggest(retry)
    third.finish(retry, TrialStatus.FAILED, "x")
    records = StudyReader(third.study).records()
    assert retry.params == interrupted.params
    assert [(record.retry_of, record.baseline) for record in records] == [(None, True), (0, True)]
    assert len(third.finished_trials()) == 1


def test_a_baseline_interrupted_before_it_was_sampled_still_runs(
    journal: Path, space: SearchSpace
) -> None:
    open_study(journal, space).ask()
    study = open_study(journal, space)
    study.requeue_interrupted_trials()
    assert study.finished_trials() == []
    retry = study.ask()
    assert space.suggest(retry).learning_rate == 1e-3
    assert not study.report(retry, 1, metrics(0.1))


def test_a_trial_interrupted_while_it_was_sampled_keeps_its_values(
    journal: Path, space: SearchSpace
) -> None:
    first = open_study(journal, space)
    space.suggest(first.ask())
    interrupted = first.ask()
    architecture = interrupted.suggest_categorical("architecture", ["lstm", "cnn_lstm"])
    second = open_study(journal, space)
    second.requeue_interrupted_trials()
    second.ask()
    retry = second.ask()
    assert space.suggest(retry).architecture == architecture


def test_a_lock_that_a_dead_writer_left_does_not_block(journal: Path, space: SearchSpace) -> None:
    open_study(journal, space)
    Path(f"{journal}.lock").symlink_to(journal)
    run_trial(open_study(journal, space), 0.8)


def test_a_journal_needs_no_symbolic_links(
    journal: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def symlink(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "symlink", symlink)
    run_trial(open_study(journal, space), 0.8)


def test_the_journal_opens_as_any_optuna_study(journal: Path, space: SearchSpace) -> None:
    run_trial(open_study(journal, space), 0.8)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(journal))
    )
    assert optuna.load_study(study_name=SEARCH, storage=storage).best_value == 0.8


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    path.write_text("nonsense\n")
    with pytest.raises(RunFolderError, match=r"study\.journal: .*"):
        Run(tmp_path).study  # noqa: B018 - opened when it is asked for


def test_a_study_that_tuner_did_not_make_is_refused() -> None:
    reader = StudyReader(optuna.create_study())
    with pytest.raises(RunFolderError, match="not made by tuner"):
        _ = reader.space


def test_broken_trials_rank_last_whatever_they_scored(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space)
    run_trial(study, 0.6)
    broken = study.ask()
    space.suggest(broken)
    study.report(broken, 1, metrics(0.99))
    study.finish(broken, TrialStatus.DIVERGED, "loss became nan")
    run_trial(study, 0.7)
    reader = StudyReader(study.study)
    order = [record.number for record in ranked(reader.records(), space.metric)]
    assert order == [2, 0, 1]


def test_seeds_of_different_purposes_differ() -> None:
    seeds = {derive_seed(seed, f"trial {number}") for seed in range(3) for number in range(100)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_another_space_is_refused_also_where_only_the_journal_is_left(
    journal: Path, space: SearchSpace
) -> None:
    run_trial(open_study(journal, space), 0.8)
    other = SearchSpace.from_mapping({**space.to_mapping(), "shared": {}, "baselines": []}, "o")
    before = journal.read_bytes()
    with pytest.raises(RunFolderError, match="belongs to a search with another space"):
        open_study(journal, other)
    assert journal.read_bytes() == before


def test_a_new_study_appears_with_its_space_and_baselines_or_not_at_all(
    journal: Path, space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr("tuner.files.os.replace", fail)
    with pytest.raises(RuntimeError, match="killed"):
        open_study(journal, space)
    assert not journal.exists()


def test_a_journal_that_was_removed_is_not_begun_anew_by_an_append(
    journal: Path, space: SearchSpace
) -> None:
    study = open_study(journal, space)
    journal.unlink()
    with pytest.raises(JournalLost, match="was removed or replaced"):
        run_trial(study, 0.8)
    assert not journal.exists()


@pytest.mark.parametrize("name", ["seconds", "deaths", "passed", "completed_rung_0"])
def test_a_number_that_is_none_is_refused_in_one_line(
    journal: Path, space: SearchSpace, name: str
) -> None:
    study = open_study(journal, space)
    trial = study.ask()
    space.suggest(trial)
    storage = study.study._storage
    if name == "seconds":
        study.study.set_user_attr(name, "abc")
    elif name.startswith("completed"):
        storage.set_trial_system_attr(trial._trial_id, name, "abc")
    else:
        trial.set_user_attr(name, "abc")
    again = open_study(journal, space)
    asks = {
        "seconds": lambda: again.seconds,
        "completed_rung_0": lambda: again.report(again.ask(), 1, metrics(0.8)),
    }.get(name, again.requeue_interrupted_trials)
    with pytest.raises(RunFolderError, match=f"{name} must be a number, got 'abc'"):
        asks()


# -- two objectives -------------------------------------------------------------------------------


def test_optuna_gets_a_trials_score_and_its_cost(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space, cost=Cost.WEIGHTS)
    run_trial(study, 0.7, 0.9, 0.8, weights=50)
    opened = Run(journal.parent).study
    assert [direction.name for direction in opened.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert opened.metric_names == ["val_accuracy", "weights"]
    assert opened.trials[0].values == [0.9, 50]
    assert StudyReader(opened).objectives == study.objectives


def test_seconds_per_epoch_are_those_of_the_leaderboard(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space, cost=Cost.SECONDS_PER_EPOCH)
    trial = study.ask()
    space.suggest(trial)
    for epoch, seconds in enumerate((9.0, 2.0, 4.0), start=1):
        study.report(trial, epoch, {**metrics(0.8), "seconds": seconds})
    study.finish(trial, TrialStatus.COMPLETE)
    assert study.study.trials[0].values == [0.8, 4.0]
    assert StudyReader(study.study).records()[0].seconds_per_epoch == 4.0


def test_with_two_objectives_no_trial_is_pruned(journal: Path, space: SearchSpace) -> None:
    study = open_study(journal, space, cost=Cost.WEIGHTS)
    run_trial(study, 0.9, 0.9, 0.9)
    laggard = study.ask()
    space.suggest(laggard)
    assert not any(study.report(laggard, epoch, metrics(0.1)) for epoch in range(1, 10))


def test_broken_and_interrupted_trials_are_distinguished_with_two_objectives(
    journal: Path, space: SearchSpace
) -> None:
    study = open_study(journal, space, cost=Cost.WEIGHTS)
    for status in (TrialStatus.DIVERGED, TrialStatus.FAILED):
        run_trial(study, 0.9, status=status)
    begun, barely_begun = study.ask(), study.ask()
    for trial in (begun, barely_begun):
        space.suggest(trial)
    study.report(begun, 1, metrics(0.8))
    again = open_study(journal, space, cost=Cost.WEIGHTS)
    again.requeue_interrupted_trials()
    records = StudyReader(again.study).records()
    assert [record.status for record in records] == [
        *(TrialStatus.DIVERGED, TrialStatus.FAILED, TrialStatus.PRUNED, TrialStatus.FAILED)
    ]
    assert [
        record.number for record in on_front(records, again.objectives)
    ] == []  # no weights known
    retry = again.ask()
    space.suggest(retry)
    assert retry.params == begun.params
    assert again.objectives == study.objectives


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (None, Cost.WEIGHTS),
        (Cost.WEIGHTS, None),
        (Cost.WEIGHTS, Cost.SECONDS_PER_EPOCH),
    ],
)
def test_other_objectives_are_refused_also_where_only_the_journal_is_left(
    journal: Path, space: SearchSpace, first: Cost | None, then: Cost | None
) -> None:
    run_trial(open_study(journal, space, cost=first), 0.8)
    before = journal.read_bytes()
    with pytest.raises(RunFolderError, match="belongs to a search with other objectives"):
        open_study(journal, space, cost=then)
    assert journal.read_bytes() == before


def test_the_journal_of_one_objective_names_no_second_one(
    journal: Path, space: SearchSpace
) -> None:
    run_trial(open_study(journal, space), 0.8)
    assert json.loads(journal.read_bytes().splitlines()[0])["directions"] == [2]
    assert b"metric_names" not in journal.read_bytes()
    assert Run(journal.parent).reader.objectives == make_objectives(space.metric, None)


@pytest.mark.parametrize("names", [None, ["val_accuracy", "price"], ["weights", "val_accuracy"], 7])
def test_objectives_that_are_none_of_ours_are_refused(space: SearchSpace, names: object) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_user_attr("space", space.to_mapping())
    study._storage.set_study_system_attr(study._study_id, "study:metric_names", names)
    with pytest.raises(RunFolderError, match=r"its objectives .* are none of tuner's"):
        _ = StudyReader(study).objectives
