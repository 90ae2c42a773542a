"""A training in a thread, whose result the driver's thread takes."""

import threading

from tuner.search.threaded_training import ThreadedTraining


def test_it_trains_once_in_a_thread_and_its_result_is_taken_once() -> None:
    may_end, threads = threading.Event(), []

    def train() -> str:
        threads.append(threading.current_thread().name)
        assert may_end.wait(60)
        return "a model"

    training = ThreadedTraining(train, "mine")
    training.wait()  # nothing was started
    assert training.take() is None
    training.start()
    training.start()
    assert training.take() is None  # it runs
    may_end.set()
    training.wait()
    assert [training.take(), training.take()] == ["a model", None]
    training.start()
    training.wait()
    assert threads == ["mine"]


def test_where_it_fails_there_is_nothing_to_take() -> None:
    training = ThreadedTraining(lambda: 1 / 0, "mine")
    training.start()
    training.wait()
    assert training.take() is None
