"""The state of a run, read from its folder alone."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.studies import metrics, open_study, run_trial

from tuner.errors import RunFolderError, UsageError
from tuner.run import Run
from tuner.run.epoch_parts import EpochPart, write_epoch_parts
from tuner.run.folder import RunFolder
from tuner.run.lock import locked, owner_of
from tuner.run.run_file import check_same_search, write_run_file
from tuner.run.sessions import SessionEnd, utc
from tuner.run.state import Activity, read_run_state
from tuner.run.trial_status import TrialStatus
from tuner.run.troubles import Troubles
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace
from tuner.terminal.run_state import state_json, state_lines


def test_what_cannot_be_written_is_shown(config: SearchConfig) -> None:
    searched = Searched(config)
    troubles = Troubles(searched.folder, lambda text: None, lambda: 1e9)
    for _ in range(2):
        troubles.note("the run folder's copy in s3://b/x\u202e", "access denied")
    state = read_run_state(Run(searched.folder.path), lambda: 1e9 + 7200)
    line = (
        "the run folder's copy in s3://b/x\u202e cannot be written (for 2h, and never since this session began): "
        "access denied"
    )
    assert f"trouble     {line}" in state_lines(state)
    assert json.loads(state_json(state))["troubles"] == [line]
    assert "\u202e" not in state_json(state)


class Searched:
    """A run folder as a search writes it."""

    def __init__(self, config: SearchConfig) -> None:
        self.folder = RunFolder(config.folder)
        write_run_file(self.folder, config, "data")
        self.study = open_study(self.folder.journal, config.space)

    def run_trial(self, status: TrialStatus, accuracy: float = 0.8) -> None:
        run_trial(self.study, accuracy, status=status)

    def start_trial(self) -> None:
        self.study.space.suggest(self.study.ask())


@pytest.fixture
def config(space: SearchSpace, tmp_path: Path) -> SearchConfig:
    return make_config({"space": space, "out": str(tmp_path), "name": "x", "trials": 3})


@pytest.fixture
def searched(config: SearchConfig) -> Searched:
    return Searched(config)


def test_a_run_that_searches_names_its_process_and_counts_its_trials(searched: Searched) -> None:
    searched.run_trial(TrialStatus.COMPLETE, 0.7)
    searched.run_trial(TrialStatus.FAILED)
    searched.start_trial()
    with locked(searched.folder):
        state = read_run_state(Run(searched.folder.path))
    assert state.activity is Activity.SEARCHING
    assert state.owner is not None
    assert state.owner.startswith("process ")
    assert state.counts == {TrialStatus.COMPLETE: 1, TrialStatus.FAILED: 1}
    assert (state.finished, len(state.running), state.trial_budget) == (2, 1, 3)
    assert state.best is not None
    assert state.best.number == 0
    assert state.quiet_s < 60


def test_while_a_run_is_confirmed_no_trial_of_its_search_runs(searched: Searched) -> None:
    """The search was killed while a trial ran; its budget was used."""
    searched.study.begin_session(utc(1e9))
    searched.start_trial()
    searched.study.end_session(utc(1e9 + 60), SessionEnd.BUDGET_USED)
    with locked(searched.folder):
        state = read_run_state(Run(searched.folder.path))
    assert state.activity is Activity.BUSY
    text = "\n".join(state_lines(state))
    assert "state       busy: a confirmation runs, or a search starts or ends (process " in text
    assert ": 1 interrupted" in text
    assert "running" not in text


def test_a_search_that_ended_flat_is_finished_and_tells_what_continues_it(
    config: SearchConfig,
) -> None:
    searched = Searched(config.model_copy(update={"trials": 50, "stop_when_flat": True}))
    for number in range(20):
        searched.run_trial(TrialStatus.COMPLETE, 0.7 + 0.01 * (number * number % 7))
    state = read_run_state(Run(searched.folder.path))
    assert (state.activity, state.finished) == (Activity.FINISHED, 20)
    (line,) = (line for line in state_lines(state) if line.startswith("state"))
    assert line.startswith(
        "state       finished: more trials would hardly help; to continue: tuner search --config "
    )
    assert line.endswith(" --no-stop-when-flat")


def test_a_flat_search_whose_budget_is_used_up_needs_a_larger_one(config: SearchConfig) -> None:
    searched = Searched(config.model_copy(update={"trials": 20, "stop_when_flat": True}))
    for number in range(20):
        searched.run_trial(TrialStatus.COMPLETE, 0.7 + 0.01 * (number * number % 7))
    lines = state_lines(read_run_state(Run(searched.folder.path)))
    assert "state       finished: its budget is used up" in lines


def test_a_pause_before_a_session_has_begun_is_not_searched(searched: Searched) -> None:
    """Ray is starting, or GPUs are measured: the study is as the last session left it."""
    study, folder = searched.study, searched.folder
    study.begin_session(utc(1e9))
    study.record_seconds(60)
    three_days_later = folder.journal.stat().st_mtime + 3 * 86_400
    with locked(folder):  # that session goes on
        assert read_run_state(Run(folder.path), lambda: three_days_later).seconds > 3 * 86_400
    study.end_session(utc(1e9 + 60), SessionEnd.BUDGET_USED)
    three_days_later = folder.journal.stat().st_mtime + 3 * 86_400
    with locked(folder):
        assert read_run_state(Run(folder.path), lambda: three_days_later).seconds == 60


def test_a_running_trial_shows_how_far_it_is(searched: Searched) -> None:
    searched.start_trial()
    trial = searched.study.ask()
    searched.study.space.suggest(trial)
    searched.study.report(trial, 1, metrics(0.75))
    study = searched.study.study.study_name
    parts = {0: EpochPart(1, 0.44, 0.61, 0.66), 1: EpochPart(2, 0.99, 0.31, 0.9)}
    with locked(searched.folder):
        write_epoch_parts(searched.folder, study, parts)
        state = read_run_state(Run(searched.folder.path))
    lines = state_lines(state)
    place = lines.index("running     trial 0 lstm: 0.4 of 9 epochs, training loss 0.6100")
    assert lines[place + 1].endswith(": 1.9 of 9 epochs, best 0.7500, training loss 0.3100")
    content = json.loads(state_json(state))
    assert content["running"] == 2
    assert content["running_trials"][0] == {
        "trial": 0,
        "architecture": "lstm",
        "epochs": 0.44,
        "max_epochs": 9,
        "score": None,
        "loss": 0.61,
        "accuracy": 0.66,
    }
    # The file of a search that was killed.
    dead = read_run_state(Run(searched.folder.path))
    assert "training loss" not in "\n".join(state_lines(dead))


def test_a_run_whose_search_left_its_name_on_the_lock_has_died(searched: Searched) -> None:
    searched.start_trial()
    searched.folder.logs.mkdir(exist_ok=True)
    searched.folder.lock_file.write_text("process 1 on host")
    state = read_run_state(Run(searched.folder.path))
    assert state.activity is Activity.DIED
    text = "\n".join(state_lines(state))
    assert "state       died; to continue: tuner search --config " in text
    assert "0 of 3: 1 interrupted" in text


def test_a_run_is_stopped_or_finished_by_its_budget(searched: Searched) -> None:
    searched.run_trial(TrialStatus.COMPLETE)
    searched.start_trial()
    searched.study.requeue_interrupted_trials()
    assert read_run_state(Run(searched.folder.path)).activity is Activity.STOPPED
    for _ in range(2):
        searched.run_trial(TrialStatus.COMPLETE)
    state = read_run_state(Run(searched.folder.path))
    assert state.activity is Activity.FINISHED
    assert state.finished == 3  # the interrupted one does not count


def test_a_diverged_trial_is_not_the_best(searched: Searched) -> None:
    searched.run_trial(TrialStatus.DIVERGED, 0.9)
    assert read_run_state(Run(searched.folder.path)).best is None


def test_a_program_gets_json(searched: Searched) -> None:
    searched.run_trial(TrialStatus.COMPLETE, 0.7)
    content = json.loads(state_json(read_run_state(Run(searched.folder.path))))
    assert content["state"] == "stopped"
    assert content["trials"] == {"complete": 1}
    assert content["best"] == {"trial": 0, "architecture": "lstm", "score": 0.7}


def test_a_search_that_has_no_study_yet_is_just_starting(config: SearchConfig) -> None:
    folder = RunFolder(config.folder)
    with locked(folder), pytest.raises(RunFolderError, match="just starting in it"):
        read_run_state(Run(folder.path))


def test_an_owner_who_died_is_no_owner_and_asking_holds_nothing(searched: Searched) -> None:
    with locked(searched.folder):
        pass
    assert owner_of(searched.folder) is None
    with locked(searched.folder):
        assert owner_of(searched.folder) is not None


def test_a_search_does_not_obey_an_earlier_ones_stop_request(searched: Searched) -> None:
    searched.folder.logs.mkdir(exist_ok=True)
    searched.folder.stop_request.touch()
    with locked(searched.folder):
        assert not searched.folder.stop_request.exists()


@pytest.mark.slow
@settings(max_examples=examples(100), suppress_health_check=list(HealthCheck))
@given(
    hits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=2)), min_size=1, max_size=3
    )
)
def test_a_run_file_hit_anywhere_is_read_or_refused_in_one_line(
    config: SearchConfig,
    tmp_path_factory: pytest.TempPathFactory,
    hits: list[tuple[float, int, bytes]],
) -> None:
    asked = config.model_copy(update={"out": str(tmp_path_factory.mktemp("runs"))})
    searched = Searched(asked)
    content = bytearray(searched.folder.run_file.read_bytes())
    for place, removed, added in hits:
        at = int(place * len(content))
        content[at : at + removed] = added
    searched.folder.run_file.write_bytes(content)
    for read in (
        lambda: read_run_state(Run(searched.folder.path)),
        lambda: check_same_search(searched.folder, asked, "data"),
        lambda: write_run_file(searched.folder, asked, "data"),
    ):
        message = ""
        try:
            read()
        except UsageError as error:
            message = str(error)
        assert message.isprintable()


def test_a_lock_that_is_a_folder_has_no_owner(searched: Searched) -> None:
    searched.folder.lock_file.mkdir(parents=True)
    assert read_run_state(Run(searched.folder.path)).activity is Activity.STOPPED


def test_of_a_trial_that_runs_again_only_the_next_try_is_ranked(searched: Searched) -> None:
    trial = searched.study.ask()
    searched.study.space.suggest(trial)
    searched.study.report(trial, 1, metrics(0.9))
    searched.study.requeue_lost_trial(trial, "its process died", deaths=1)
    first = read_run_state(Run(searched.folder.path)).best
    assert first is not None
    assert first.number == 0  # until the next try has begun, it is all that is known
    searched.run_trial(TrialStatus.COMPLETE, 0.7)
    best = read_run_state(Run(searched.folder.path)).best
    assert best is not None
    assert (best.number, best.retry_of) == (1, 0)


def test_the_state_of_two_objectives_has_the_front_and_no_pruner(
    space: SearchSpace, tmp_path: Path
) -> None:
    asked = {"space": space, "out": str(tmp_path), "name": "x"}
    config = make_config({**asked, "objectives": "val_accuracy,weights"})
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    study = open_study(folder.journal, space, cost=Cost.WEIGHTS)
    empty = "\n".join(state_lines(read_run_state(Run(folder.path))))
    assert "front       no trial yet" in empty
    run_trial(study, 0.7, weights=1000)
    assert "front       1 trial: 0.7000 with 1,000 weights (trial 0, lstm)" in state_lines(
        read_run_state(Run(folder.path))
    )
    run_trial(study, 0.9, weights=2000)
    run_trial(study, 0.6, weights=1500)
    state = read_run_state(Run(folder.path))
    lines = state_lines(state)
    assert [(each.number, each.cost) for each in state.front] == [(1, 2000), (0, 1000)]
    assert lines[5].startswith("front       2 trials, 0.9000 with 2,000 weights (trial 1, ")
    assert lines[5].endswith(" to 0.7000 with 1,000 weights (trial 0, lstm)")
    assert lines[6] == "objectives  val_accuracy (max), weights (min)"
    assert lines[7].startswith("pruner      no pruning, because a trial that is behind in ")
    content = json.loads(state_json(state))
    assert (content["objectives"], content["pruner"]) == (["val_accuracy", "weights"], "none")
    assert content["pareto"][1] == {
        "trial": 0,
        "architecture": "lstm",
        "score": 0.7,
        "weights": 1000,
    }


def test_the_state_of_one_objective_has_no_front(searched: Searched) -> None:
    searched.run_trial(TrialStatus.COMPLETE)
    state = read_run_state(Run(searched.folder.path))
    assert (state.objectives.costs, state.front) == ((), ())
    assert not any(line.startswith(("front", "pruner")) for line in state_lines(state))
    assert not {"pareto", "objectives", "pruner"} & set(json.loads(state_json(state)))
