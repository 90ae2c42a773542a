"""Sinks are brought up to date beside the search, and never stop it."""

import threading
from collections.abc import Callable

import pytest
from support.studies import metrics, run_trial

from tuner.run.records import StudyReader, TrialRecord
from tuner.search.study import SearchStudy
from tuner.tracking.background import Feed, Feeds


class Memory:
    """A sink that remembers, and fails as told."""

    name = "Memory"

    def __init__(self) -> None:
        self.told: list[tuple[int, int, bool]] = []  # trial, epochs, ended
        self.opened = 0
        self.is_closed = False
        self.is_down = False
        self.refuses: set[int] = set()
        self.changed = threading.Condition()

    def open(self) -> None:
        self.opened += 1
        self._check(None)

    def write(self, record: TrialRecord) -> None:
        self._check(record.number)
        with self.changed:
            self.told.append((record.number, len(record.curve), record.ended is not None))
            self.changed.notify_all()

    def close(self) -> None:
        self.is_closed = True

    def _check(self, number: int | None) -> None:
        if self.is_down or number in self.refuses:
            raise ConnectionError("no\nanswer")

    def wait_for(self, told: tuple[int, int, bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: told in self.told, timeout=30)


@pytest.fixture
def sink() -> Memory:
    return Memory()


@pytest.fixture
def feed(sink: Memory, study: SearchStudy) -> Feed:
    """One that waits for nothing but news."""

    def pause(event: threading.Event, seconds: float) -> None:
        event.wait(seconds if seconds > 60 else 0.01)

    return Feed(sink, StudyReader(study.study), pause)


def end(feed: Feed) -> list[str]:
    feed.end()
    feed.join(30)
    return list(feed.notes())


def test_what_happens_is_written_and_nothing_twice(
    feed: Feed, sink: Memory, study: SearchStudy
) -> None:
    run_trial(study, 0.7)
    feed.start()
    sink.wait_for((0, 1, True))
    trial = study.ask()
    study.space.suggest(trial)
    study.report(trial, 1, metrics(0.5))
    feed.wake()
    sink.wait_for((1, 1, False))
    run_trial(study, 0.8, 0.9)
    assert end(feed) == []
    assert sink.told == [(0, 1, True), (1, 1, False), (2, 2, True)]
    assert sink.is_closed


def test_trials_whose_parameters_are_not_all_known_wait(
    feed: Feed, sink: Memory, study: SearchStudy
) -> None:
    study.ask()
    feed.start()
    assert end(feed) == []
    assert sink.told == []


def test_a_sink_that_is_down_is_told_once_and_gets_everything_later(
    feed: Feed, sink: Memory, study: SearchStudy
) -> None:
    sink.is_down = True
    run_trial(study, 0.7)
    feed.start()
    _until(lambda: sink.opened >= 3)
    note = "Memory cannot be written: no answer; the search goes on, and tries again"
    assert list(feed.notes()) == [note]
    assert list(feed.notes()) == []
    sink.is_down = False
    sink.wait_for((0, 1, True))
    assert end(feed) == []


def test_a_sink_that_stays_down_ends_with_the_search(
    feed: Feed, sink: Memory, study: SearchStudy
) -> None:
    sink.is_down = True
    run_trial(study, 0.7)
    feed.start()
    assert end(feed) == [
        "Memory cannot be written: no answer; the search goes on, and tries again",
        "not everything is in Memory; the same search command adds what is missing",
    ]


def test_a_trial_that_is_refused_holds_up_no_other(
    feed: Feed, sink: Memory, study: SearchStudy
) -> None:
    sink.refuses = {0}
    run_trial(study, 0.7)
    run_trial(study, 0.8)
    feed.start()
    sink.wait_for((1, 1, True))
    notes = end(feed)
    assert sink.told == [(1, 1, True)]
    assert len(notes) == 2
    assert "not everything is in Memory" in notes[1]


def test_a_sink_that_hangs_is_left_behind(study: SearchStudy) -> None:
    hanging, quick = Memory(), Memory()
    release = threading.Event()
    hanging.open = release.wait  # type: ignore[assignment,method-assign]
    run_trial(study, 0.7)
    feeds = Feeds([hanging, quick], StudyReader(study.study))
    feeds.start()
    feeds.wake()
    quick.wait_for((0, 1, True))
    feeds.finish(0.2)
    assert list(feeds.notes()) == [
        "not everything is in Memory; the same search command adds what is missing"
    ]
    release.set()
    feeds.finish(30)


def test_a_slow_sink_is_waited_for_while_it_gets_on(study: SearchStudy) -> None:
    slow, now = Memory(), 0.0
    for _ in range(5):
        run_trial(study, 0.7)
    may_go_on = threading.Semaphore(0)
    write = slow.write

    def wait_and_write(record: TrialRecord) -> None:
        may_go_on.acquire()
        write(record)

    def clock() -> float:
        """Every look takes 20 s, in which a trial is written."""
        nonlocal now
        now += 20.0
        may_go_on.release()
        return now

    slow.write = wait_and_write  # type: ignore[method-assign]
    feeds = Feeds([slow], StudyReader(study.study))
    feeds.start()
    feeds.finish(60.0, lambda: None, clock)
    assert [number for number, *_ in slow.told] == [0, 1, 2, 3, 4]
    assert list(feeds.notes()) == []


def test_who_waits_for_a_sink_can_be_interrupted(study: SearchStudy) -> None:
    hanging, release = Memory(), threading.Event()
    hanging.open = release.wait  # type: ignore[assignment,method-assign]

    def check() -> None:
        raise KeyboardInterrupt("enough")

    feeds = Feeds([hanging], StudyReader(study.study))
    feeds.start()
    with pytest.raises(KeyboardInterrupt, match="enough"):
        feeds.finish(60.0, check)
    release.set()
    feeds.finish(30.0)


def _until(is_so: Callable[[], bool]) -> None:
    ticks = threading.Event()
    for _ in range(3000):
        if is_so():
            return
        ticks.wait(0.01)
    raise AssertionError("never")
