"""`tuner watch` shows a run as the terminal of the searching process does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.studies import FACTS, open_study
from support.watching import Clock, Recorder

from tuner.errors import JournalLost, RunFolderError
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.epoch_parts import EpochPart, read_epoch_parts, write_epoch_parts
from tuner.run.events import Event, EventKind, SearchState
from tuner.run.folder import RunFolder
from tuner.run.lock import locked
from tuner.run.reference_record import ReferenceRecord
from tuner.run.run_file import write_run_file
from tuner.run.sessions import SessionEnd
from tuner.run.trial_status import TrialStatus
from tuner.run.watch import WatchedStudy, watch
from tuner.search.session import SearchSession
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


class Comparing(Recorder):
    """The searching process's terminal, and a watcher beside it: both must show the same after every event."""

    watched: WatchedStudy
    config: SearchConfig

    def __init__(self) -> None:
        super().__init__()
        self.seen = Recorder()

    def on_event(self, event: Event, state: SearchState) -> None:
        super().on_event(event, state)
        for seen in self.watched.news(self.config):
            self.seen.on_event(*seen)
        assert self.seen.told[-1] == self.told[-1]


class Search:
    """A search that a test drives, and a watcher of its run folder; both have the same clocks."""

    def __init__(self, config: SearchConfig, own: Recorder | None = None) -> None:
        self.folder = RunFolder(config.folder)
        write_run_file(self.folder, config, "data")
        self.own, self.seen = own or Recorder(), Recorder()
        self.config = config
        self.clock = Clock()
        self.study = self.open_study()
        self.watched = self.new_watcher()
        if isinstance(self.own, Comparing):
            self.own.watched, self.own.config = self.watched, config
        self.session = self.open(self.study)

    def open_study(self) -> SearchStudy:
        cost = next(iter(self.config.compared_by.costs), None)
        return open_study(self.folder.journal, self.config.space, cost=cost)

    def open(self, study: SearchStudy) -> SearchSession:
        return SearchSession(
            study,
            self.config,
            workers=lambda: 2,
            listener=self.own,
            clock=self.clock,
            wall_clock=self.wall_clock,
        )

    def wall_clock(self) -> float:
        return 2e9 + self.clock.now

    def new_watcher(self) -> WatchedStudy:
        """A watcher that begins now."""
        return WatchedStudy(Run(self.folder.path).reader, self.clock, self.wall_clock)

    def read(self) -> None:
        """Reads the changes, as the watching process does."""
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


def _whole_search(search: Search, read: Callable[[], None]) -> None:
    session = search.session
    read()
    first, second = session.start_trial().number, session.start_trial().number
    read()
    session.record_facts(first, FACTS)
    search.epoch(first, 1, 0.7)
    read()
    session.record_facts(second, FACTS)
    search.epoch(second, 1, 0.6)
    read()
    search.epoch(first, 2, 0.65)
    session.end_trial(first, TrialStatus.COMPLETE)
    read()
    session.end_trial(second, TrialStatus.DIVERGED, "loss is nan")
    read()
    third = session.start_trial().number
    search.epoch(third, 1, 0.9)
    read()
    session.lose_trial(third, "its process died")
    read()
    again = session.start_trial().number
    session.record_facts(again, FACTS)
    search.epoch(again, 1, 0.8)
    session.end_trial(again, TrialStatus.PRUNED)
    read()


def test_both_views_show_the_same_after_every_event(config: SearchConfig) -> None:
    own = Comparing()
    search = Search(config, own)
    _whole_search(search, lambda: None)
    assert len(own.told) == 14
    assert own.seen.told == own.told


def test_both_views_show_the_same_front_after_every_event(by_two: SearchConfig) -> None:
    own = Comparing()
    search = Search(by_two, own)
    _whole_search(search, lambda: None)
    assert own.state.objectives == by_two.compared_by
    assert [each.number for each in own.state.front] == [3]
    assert own.seen.told == own.told


def test_both_views_show_the_same_in_a_second_session(config: SearchConfig) -> None:
    first = Search(config)
    _whole_search(first, lambda: None)
    interrupted = first.session.start_trial().number
    first.clock.now += 40
    first.epoch(interrupted, 1, 0.95)
    first.session.close(SessionEnd.INTERRUPTED)

    own = Comparing()
    second = Search(config, own)

    assert own.kinds == [EventKind.SEARCH_STARTED]
    second.clock.now += 3
    second.epoch(second.session.start_trial().number, 1, 0.5)
    second.clock.now += 30
    second.session.end_trial(own.state.running[0].number, TrialStatus.COMPLETE)
    assert own.seen.told == own.told
    assert own.state.finished == 4
    assert own.state.seconds == 73.0


@pytest.fixture
def by_two(config: SearchConfig) -> SearchConfig:
    objectives = {"objectives": "val_accuracy,weights", "pruner": None}
    return make_config({**config.model_dump(), "space": config.space, **objectives})


@pytest.mark.parametrize("reads_often", [True, False])
def test_the_front_does_not_depend_on_how_often_the_study_is_read(
    by_two: SearchConfig, reads_often: bool
) -> None:
    search = Search(by_two)
    _whole_search(search, search.read if reads_often else lambda: None)
    search.read()
    assert search.seen.state == search.own.state


def test_the_reference_is_told_once_when_it_is_measured(search: Search) -> None:
    search.read()
    search.session.follow_study()  # nothing was recorded
    assert EventKind.REFERENCE_MEASURED not in search.own.kinds
    record = ReferenceRecord(sequences=60, score=0.8, low=0.7, high=0.9, majority=0.5, seconds=1)
    for score in (0.8, 0.9):  # the second: a continued search
        changed = record.model_copy(update={"score": score})
        search.study.study.set_user_attr(Attribute.REFERENCE, changed.model_dump(mode="json"))
        search.session.follow_study()
        search.read()
    for view in (search.own, search.seen):
        assert view.kinds.count(EventKind.REFERENCE_MEASURED) == 1
        (told,) = view.states_at(EventKind.REFERENCE_MEASURED)
        assert told.reference == record
    late = Recorder()
    for event, state in search.new_watcher().news(search.config):
        late.on_event(event, state)
    assert late.kinds == [EventKind.SEARCH_STARTED]
    assert late.state.reference == changed


def test_a_watcher_that_starts_at_the_end_reads_the_same_state(search: Search) -> None:
    _whole_search(search, lambda: None)
    search.read()
    assert search.seen.kinds == [EventKind.SEARCH_STARTED]
    assert search.seen.state == search.own.state


def test_every_event_between_two_readings_is_reported(search: Search) -> None:
    search.read()
    number = search.session.start_trial().number
    for epoch in (1, 2, 3):
        search.epoch(number, epoch, 0.5 + epoch / 10)
    search.session.end_trial(number, TrialStatus.COMPLETE)
    search.read()
    assert search.seen.told == search.own.told


def test_a_late_watcher_sees_running_trials_as_they_are(search: Search) -> None:
    number = search.session.start_trial().number
    search.epoch(number, 1, 0.7)
    search.read()
    assert search.seen.kinds == [EventKind.SEARCH_STARTED, EventKind.TRIAL_STARTED]
    (live,) = search.seen.state.running
    assert (live.epoch, live.score, live.max_epochs) == (1, 0.7, 9)
    assert live.started == search.own.state.running[0].started


def test_a_trial_starts_once_all_its_parameters_are_known(search: Search) -> None:
    search.read()
    trial = search.session._study.ask()  # a baseline, whose parameters are written one by one
    search.read()
    trial.suggest_categorical("architecture", list(search.config.space.architectures))
    search.read()
    assert search.seen.kinds == [EventKind.SEARCH_STARTED]
    search.config.space.suggest(trial)
    search.read()
    assert search.seen.kinds[1:] == [EventKind.TRIAL_STARTED]


def test_the_seconds_searched_are_those_of_the_study(search: Search) -> None:
    search.study.record_seconds(90.0)
    search.read()
    assert search.seen.state.seconds_at(search.clock.now + 7) == 97.0


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
        assert watch(Run(search.folder.path, read_only=True), seen, sleep=sleep)
    assert seen.kinds == search.own.kinds
    assert seen.state.finished == 3


def test_the_progress_of_an_epoch_is_seen(search: Search) -> None:
    seen = Recorder()
    first, second = (search.session.start_trial().number for _ in range(2))
    parts = [{first: EpochPart(1, 0.2, 0.7, 0.5)}, {first: EpochPart(1, 0.6, 0.6, 0.6)}]
    study = search.study.study.study_name

    def sleep(seconds: float) -> None:
        if parts:
            write_epoch_parts(search.folder, study, parts.pop(0))
            return
        search.epoch(first, 1, 0.5)  # what the file says of this epoch is old now
        write_epoch_parts(search.folder, study, {first: EpochPart(1, 0.9, 0.5, 0.7)})
        holding.__exit__(None, None, None)

    holding = locked(search.folder)
    holding.__enter__()
    assert watch(Run(search.folder.path, read_only=True), seen, sleep=sleep)
    assert seen.kinds[-3:] == [*[EventKind.EPOCH_CONTINUES] * 2, EventKind.EPOCH_ENDED]
    state = seen.told[-2][1]
    assert [each.number for each in state.running if each.part is not None] == [first]
    assert state.running[second].part is None
    assert seen.state.running[0].part is None


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"tuner": {"0": {"epoch": 1, "share": 7.0, "loss": 0.1, "accuracy": 0.5}}}',
        b'{"tuner": {"0": {"epoch": "1; x", "share": 0.5, "loss": 0.1, "accuracy": 0.5}}}',
        b'{"tuner": {"0": {"epoch": 1, "share": 0.5, "loss": NaN, "accuracy": 0.5}}}',
    ],
)
def test_a_damaged_file_of_progress_shows_nothing(search: Search, damage: bytes) -> None:
    write_epoch_parts(search.folder, "tuner", {0: EpochPart(1, 0.5, 0.1, 0.5)})
    assert read_epoch_parts(search.folder, "tuner") == {0: EpochPart(1, 0.5, 0.1, 0.5)}
    assert read_epoch_parts(search.folder, "another study") == {}
    search.folder.epoch_parts.write_bytes(damage)
    assert read_epoch_parts(search.folder, "tuner") == {}


def test_a_run_in_which_no_search_runs_is_not_watched(search: Search) -> None:
    seen = Recorder()
    assert not watch(Run(search.folder.path, read_only=True), seen)
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
    assert watch(Run(search.folder.path, read_only=True), seen, sleep=sleep)
    assert seen.state.trial_budget == 77


def test_a_search_that_goes_on_in_a_wider_space_is_watched_there(search: Search) -> None:
    import optuna

    from tuner.run.journal import SEARCH, name_in_space, open_journal

    seen = Recorder()

    def sleep(seconds: float) -> None:
        storage = open_journal(search.folder.journal)
        wider = optuna.create_study(storage=storage, study_name=name_in_space(SEARCH, 2))
        wider.set_user_attr("space", search.config.space.to_mapping())
        for _ in range(4):
            search.config.space.suggest(wider.ask())
        holding.__exit__(None, None, None)

    holding = locked(search.folder)
    holding.__enter__()
    assert watch(Run(search.folder.path, read_only=True), seen, sleep=sleep)
    assert len(seen.state.running) == 4


@pytest.mark.parametrize("was_killed", [False, True])
def test_the_trials_of_finalists_are_watched_while_they_run(
    search: Search, was_killed: bool
) -> None:
    from tuner.run.journal import CONFIRMATION

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
        seeds = (11, 12, 13, 14)
        study.set_user_attr("requests", [[[7, seed, None, "train"] for seed in seeds]])
        for seed in seeds[1:] + seeds[:1]:
            study.enqueue_trial(
                {"architecture": "lstm", "learning_rate": 1e-3, "lstm_units": 9},
                user_attrs={"finalist": 7, "seed": seed, "train_on": "train"},
            )
        search.config.space.suggest(study.ask())
        holding.__exit__(None, None, None)

    holding = locked(search.folder)
    holding.__enter__()
    assert watch(Run(search.folder.path, read_only=True), seen, sleep=sleep)
    assert seen.kinds[-2:] == [EventKind.SEARCH_STARTED, EventKind.TRIAL_STARTED]
    assert (seen.state.trial_budget, seen.state.finished) == (4, 0)
    assert seen.state.running[0].name == "7 (seed 2 of 4)"


@pytest.mark.parametrize(
    ("error", "message", "damage"),
    [
        (JournalLost, "was removed or replaced", lambda path: path.unlink()),
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
        watch(
            Run(search.folder.path, read_only=True),
            Recorder(),
            sleep=lambda seconds: damage(search.folder.journal),
        )
