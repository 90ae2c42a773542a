"""What is seen of a run from elsewhere is what its search tells of itself."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.studies import FACTS, open_study

from tuner.errors import JournalTorn, RunFolderError
from tuner.run.events import Event, EventKind, LiveTrial, SearchState
from tuner.run.folder import RunFolder
from tuner.run.lock import locked
from tuner.run.records import StudyReader
from tuner.run.run_file import write_run_file
from tuner.run.status import TrialStatus
from tuner.run.study import load_study
from tuner.run.watch import WatchedStudy, watch
from tuner.search.session import SearchSession
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


class Recorder:
    """Remembers what it was told, without what differs by the clock."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.state: SearchState | None = None

    def on_event(self, event: Event, state: SearchState) -> None:
        self.told.append(
            (
                *(event.kind, _content(event.trial), event.status, event.error, event.score),
                *(state.name, state.metric, state.counts, state.best, state.trial_budget),
                [_content(trial) for trial in state.running],
            )
        )
        self.state = state


def _content(trial: LiveTrial | None) -> object:
    if trial is None:
        return None
    parameters = dict(trial.parameters)
    return (trial.number, trial.architecture, parameters, trial.epoch, trial.score, trial.baseline)


class Search:
    """A search that is carried on by hand, and somebody who watches it."""

    def __init__(self, config: SearchConfig) -> None:
        self.folder = RunFolder(config.folder)
        write_run_file(self.folder, config, "data")
        self.own, self.seen = Recorder(), Recorder()
        self.config = config
        self.session = self.open()
        self.watched = self.look_in()

    def open(self) -> SearchSession:
        objectives = self.config.two_objectives
        study = open_study(
            self.folder.journal,
            self.config.space,
            cost=objectives.cost if objectives is not None else None,
        )
        return SearchSession(
            study, self.config, workers=lambda: 2, listener=self.own, clock=time.monotonic
        )

    def look_in(self) -> WatchedStudy:
        """Somebody begins to watch."""
        reader = StudyReader(load_study(self.folder.journal))
        return WatchedStudy(reader, time.monotonic, time.time)

    def look(self) -> None:
        """What the watcher finds new."""
        for event, state in self.watched.news(self.config):
            self.seen.on_event(event, state)

    def epoch(self, number: int, epoch: int, accuracy: float) -> None:
        figures = dict.fromkeys(("loss", "accuracy", "val_loss", "val_f1", "seconds"), 1.0)
        self.session.end_epoch(number, EpochResult(epoch=epoch, val_accuracy=accuracy, **figures))


@pytest.fixture
def config(space: SearchSpace, tmp_path: Path) -> SearchConfig:
    return make_config({"space": space, "out": str(tmp_path), "name": "x", "trials": 9})


@pytest.fixture
def search(config: SearchConfig) -> Search:
    return Search(config)


def _whole_search(search: Search, look: Callable[[], None]) -> None:
    session = search.session
    look()
    first, second = session.start_trial().number, session.start_trial().number
    look()
    session.note_facts(first, FACTS)
    search.epoch(first, 1, 0.7)
    look()
    session.note_facts(second, FACTS)
    search.epoch(second, 1, 0.6)
    look()
    search.epoch(first, 2, 0.65)
    session.end_trial(first, TrialStatus.COMPLETE)
    look()
    session.end_trial(second, TrialStatus.DIVERGED, "loss is nan")
    look()
    third = session.start_trial().number
    search.epoch(third, 1, 0.9)
    look()
    session.lose_trial(third, "its process died")
    look()
    again = session.start_trial().number
    session.note_facts(again, FACTS)
    search.epoch(again, 1, 0.8)
    session.end_trial(again, TrialStatus.PRUNED)
    look()


def test_who_looks_at_every_step_is_told_what_the_search_tells(search: Search) -> None:
    _whole_search(search, search.look)
    assert search.seen.told[-1] == search.own.told[-1]
    assert len(search.own.told) == 14
    kinds = [told[:5] for told in search.own.told]
    assert sorted(map(repr, (told[:5] for told in search.seen.told))) == sorted(map(repr, kinds))


@pytest.mark.parametrize("looks_often", [True, False])
def test_of_two_objectives_the_front_is_told(config: SearchConfig, looks_often: bool) -> None:
    objectives = {
        **config.model_dump(),
        "space": config.space,
        "objectives": "val_accuracy,weights",
    }
    search = Search(make_config({**objectives, "pruner": None}))
    _whole_search(search, search.look if looks_often else lambda: None)
    search.look()
    assert search.seen.state is not None
    assert search.own.state is not None
    assert search.own.state.objectives is not None
    assert search.seen.state.objectives == search.own.state.objectives
    assert search.seen.state.front == search.own.state.front


def test_who_looks_once_in_the_end_is_told_the_sums(search: Search) -> None:
    _whole_search(search, lambda: None)
    search.look()
    (started,) = search.seen.told
    assert started[0] is EventKind.SEARCH_STARTED
    assert started[5:] == search.own.told[-1][5:]


def test_epochs_and_trials_between_two_looks_are_all_told(search: Search) -> None:
    search.look()
    number = search.session.start_trial().number
    for epoch in (1, 2, 3):
        search.epoch(number, epoch, 0.5 + epoch / 10)
    search.session.end_trial(number, TrialStatus.COMPLETE)
    search.look()
    assert search.seen.told == search.own.told


def test_who_comes_late_sees_running_trials_as_they_are(search: Search) -> None:
    number = search.session.start_trial().number
    search.epoch(number, 1, 0.7)
    search.look()
    kinds = [told[0] for told in search.seen.told]
    assert kinds == [EventKind.SEARCH_STARTED, EventKind.TRIAL_STARTED]
    assert search.seen.state is not None
    (live,) = search.seen.state.running
    assert (live.epoch, live.score, live.max_epochs) == (1, 0.7, 9)
    assert live.started == pytest.approx(time.monotonic(), abs=60)


def test_a_trial_is_told_once_all_its_parameters_are_known(search: Search) -> None:
    search.look()
    trial = search.session._study.ask()  # a baseline, whose parameters are written one by one
    search.look()
    trial.suggest_categorical("architecture", list(search.config.space.architectures))
    search.look()
    assert len(search.seen.told) == 1
    search.config.space.suggest(trial)
    search.look()
    assert search.seen.told[-1][0] is EventKind.TRIAL_STARTED


def test_the_seconds_searched_are_those_of_the_study(search: Search) -> None:
    search.session._study.record_seconds(90.0)
    search.look()
    assert search.seen.state is not None
    assert search.seen.state.seconds_before == 90.0
    assert search.seen.state.started == pytest.approx(time.monotonic(), abs=60)


# -- a run ----------------------------------------------------------------------------------------


def test_a_run_is_watched_until_its_search_ends(search: Search) -> None:
    seen = Recorder()
    holding = locked(search.folder)
    naps = 0

    def sleep(seconds: float) -> None:
        nonlocal naps
        naps += 1
        number = search.session.start_trial().number
        if naps == 3:
            holding.__exit__(None, None, None)
        search.epoch(number, 1, 0.5)
        search.session.end_trial(number, TrialStatus.COMPLETE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.session, "_workers", lambda: 9)
        holding.__enter__()
        assert watch(search.folder, seen, sleep=sleep)
    assert seen.told == search.own.told
    assert seen.state is not None
    assert seen.state.finished == 3


def test_a_run_that_nobody_searches_in_is_not_watched(search: Search) -> None:
    seen = Recorder()
    assert not watch(search.folder, seen)
    assert seen.told == []


def test_a_budget_that_changes_meanwhile_is_shown(search: Search) -> None:
    seen = Recorder()

    def sleep(seconds: float) -> None:
        larger = search.config.model_copy(update={"trials": 77})
        write_run_file(search.folder, larger, "data")
        search.session.start_trial()
        holding.__exit__(None, None, None)

    holding = locked(search.folder)
    holding.__enter__()
    assert watch(search.folder, seen, sleep=sleep)
    assert seen.state is not None
    assert seen.state.trial_budget == 77


@pytest.mark.parametrize("was_killed", [False, True])
def test_the_trials_of_finalists_are_watched_while_they_run(
    search: Search, was_killed: bool
) -> None:
    from tuner.run.study import CONFIRMATION

    _whole_search(search, lambda: None)
    if was_killed:
        search.session.start_trial()  # seems to run for ever
    seen = Recorder()
    journal = search.folder.journal

    def sleep(seconds: float) -> None:
        import optuna

        from tuner.run.journal import open_journal

        study = optuna.create_study(storage=open_journal(journal), study_name=CONFIRMATION)
        study.set_user_attr("space", search.config.space.to_mapping())
        for _ in range(4):
            study.enqueue_trial({"architecture": "lstm", "learning_rate": 1e-3, "lstm_units": 9})
        search.config.space.suggest(study.ask())
        holding.__exit__(None, None, None)

    holding = locked(search.folder)
    holding.__enter__()
    assert watch(search.folder, seen, sleep=sleep)
    assert [told[0] for told in seen.told[-2:]] == [
        EventKind.SEARCH_STARTED,
        EventKind.TRIAL_STARTED,
    ]
    assert seen.state is not None
    assert (seen.state.trial_budget, seen.state.finished) == (4, 0)


@pytest.mark.parametrize(
    ("error", "message", "damage"),
    [
        (JournalTorn, "was removed or replaced", lambda path: path.unlink()),
        (
            RunFolderError,
            "was damaged meanwhile",
            lambda path: path.write_bytes(path.read_bytes() + b"no json\n{}\n"),
        ),
    ],
)
def test_a_journal_that_breaks_meanwhile_ends_the_watching_in_one_line(
    search: Search, error: type[Exception], message: str, damage: Callable[[Path], object]
) -> None:
    with locked(search.folder), pytest.raises(error, match=message):
        watch(search.folder, Recorder(), sleep=lambda seconds: damage(search.folder.journal))
