"""Exporters are brought up to date beside the search, and never stop it."""

import threading
from collections.abc import Callable

import pytest
from support.studies import metrics, run_trial

from tuner.run.records import StudyReader, TrialRecord
from tuner.search.study import SearchStudy
from tuner.tracking.background import ExportThread, Tracking


class Memory:
    """An exporter that remembers, and fails where it should."""

    name = "Memory"

    def __init__(self) -> None:
        self.written: list[tuple[int, int, bool]] = []  # trial, epochs, ended
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
            self.written.append((record.number, len(record.curve), record.ended is not None))
            self.changed.notify_all()

    def close(self) -> None:
        self.is_closed = True

    def _check(self, number: int | None) -> None:
        if self.is_down or number in self.refuses:
            raise ConnectionError("no\nanswer")

    def wait_for(self, written: tuple[int, int, bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: written in self.written, timeout=30)


@pytest.fixture
def exporter() -> Memory:
    return Memory()


@pytest.fixture
def thread(exporter: Memory, study: SearchStudy) -> ExportThread:
    """One that waits for nothing but changes."""

    def pause(event: threading.Event, seconds: float) -> None:
        event.wait(seconds if seconds > 60 else 0.01)

    return ExportThread(exporter, StudyReader(study.study), pause)


def end(thread: ExportThread) -> list[str]:
    thread.end()
    thread.join(30)
    return list(thread.notes())


def test_every_change_is_written_and_nothing_twice(
    thread: ExportThread, exporter: Memory, study: SearchStudy
) -> None:
    run_trial(study, 0.7)
    thread.start()
    exporter.wait_for((0, 1, True))
    trial = study.ask()
    study.space.suggest(trial)
    study.report(trial, 1, metrics(0.5))
    thread.wake()
    exporter.wait_for((1, 1, False))
    run_trial(study, 0.8, 0.9)
    assert end(thread) == []
    assert exporter.written == [(0, 1, True), (1, 1, False), (2, 2, True)]
    assert exporter.is_closed


def test_trials_whose_parameters_are_not_all_known_wait(
    thread: ExportThread, exporter: Memory, study: SearchStudy
) -> None:
    study.ask()
    thread.start()
    assert end(thread) == []
    assert exporter.written == []


def test_an_exporter_that_is_down_is_reported_once_and_gets_everything_later(
    thread: ExportThread, exporter: Memory, study: SearchStudy
) -> None:
    exporter.is_down = True
    run_trial(study, 0.7)
    thread.start()
    _until(lambda: exporter.opened >= 3)
    note = "Memory cannot be written: no answer; the search continues and tries again"
    assert list(thread.notes()) == [note]
    assert list(thread.notes()) == []
    exporter.is_down = False
    exporter.wait_for((0, 1, True))
    assert end(thread) == []


def test_an_exporter_that_stays_down_ends_with_the_search(
    thread: ExportThread, exporter: Memory, study: SearchStudy
) -> None:
    exporter.is_down = True
    run_trial(study, 0.7)
    thread.start()
    assert end(thread) == [
        "Memory cannot be written: no answer; the search continues and tries again",
        "not everything is in Memory; the same search command adds what is missing",
    ]


def test_a_trial_that_is_refused_holds_up_no_other(
    thread: ExportThread, exporter: Memory, study: SearchStudy
) -> None:
    exporter.refuses = {0}
    run_trial(study, 0.7)
    run_trial(study, 0.8)
    thread.start()
    exporter.wait_for((1, 1, True))
    notes = end(thread)
    assert exporter.written == [(1, 1, True)]
    assert len(notes) == 2
    assert "not everything is in Memory" in notes[1]


def test_an_exporter_that_hangs_is_left_behind(study: SearchStudy) -> None:
    hanging, quick = Memory(), Memory()
    release = threading.Event()
    hanging.open = release.wait  # type: ignore[assignment,method-assign]
    run_trial(study, 0.7)
    tracking = Tracking([hanging, quick], StudyReader(study.study))
    tracking.start()
    tracking.wake()
    quick.wait_for((0, 1, True))
    tracking.finish(0.2)
    assert list(tracking.notes()) == [
        "not everything is in Memory; the same search command adds what is missing"
    ]
    release.set()
    tracking.finish(30)


def test_an_exporter_that_never_answers_is_reported_while_the_search_goes_on(
    study: SearchStudy,
) -> None:
    hanging, release, now = Memory(), threading.Event(), [0.0]
    is_asked = threading.Event()

    def never_answer() -> None:
        is_asked.set()
        release.wait()

    hanging.open = never_answer  # type: ignore[method-assign]
    thread = ExportThread(hanging, StudyReader(study.study), clock=lambda: now[0])
    thread.start()
    assert is_asked.wait(30)
    now[0] = 59.0
    assert list(thread.notes()) == []
    now[0] = 61.0
    note = "Memory cannot be written: no answer for 60 s; the search continues and tries again"
    assert list(thread.notes()) == [note]
    assert list(thread.notes()) == []
    release.set()
    assert end(thread) == []


def test_a_slow_exporter_is_waited_for_while_it_gets_on(study: SearchStudy) -> None:
    slow, now = Memory(), 0.0
    for _ in range(5):
        run_trial(study, 0.7)
    may_go_on = threading.Semaphore(0)
    write = slow.write

    def wait_and_write(record: TrialRecord) -> None:
        may_go_on.acquire()
        write(record)

    def clock() -> float:
        """Each call takes 20 s, in which a trial is written."""
        nonlocal now
        now += 20.0
        may_go_on.release()
        return now

    slow.write = wait_and_write  # type: ignore[method-assign]
    tracking = Tracking([slow], StudyReader(study.study))
    tracking.start()
    tracking.finish(60.0, lambda: None, clock)
    assert [number for number, *_ in slow.written] == [0, 1, 2, 3, 4]
    assert list(tracking.notes()) == []


def test_waiting_for_an_exporter_can_be_interrupted(study: SearchStudy) -> None:
    hanging, release = Memory(), threading.Event()
    hanging.open = release.wait  # type: ignore[assignment,method-assign]

    def check() -> None:
        raise KeyboardInterrupt("enough")

    tracking = Tracking([hanging], StudyReader(study.study))
    tracking.start()
    with pytest.raises(KeyboardInterrupt, match="enough"):
        tracking.finish(60.0, check)
    release.set()
    tracking.finish(30.0)


def _until(is_so: Callable[[], bool]) -> None:
    ticks = threading.Event()
    for _ in range(3000):
        if is_so():
            return
        ticks.wait(0.01)
    raise AssertionError("never")
