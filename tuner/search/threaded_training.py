"""Trains something in a thread beside the trials, for the driver's thread to take. Must not import Ray or Keras."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

Trained = TypeVar("Trained")


class ThreadedTraining(Generic[Trained]):
    """One training; where it fails there is nothing to take.

    It cannot be interrupted, so a process that ends does not wait for it.

    Args:
        train: computes only: files and studies are written by the driver's thread.
        name: the thread's.
    """

    def __init__(self, train: Callable[[], Trained], name: str) -> None:
        self._train = train
        self._name = name
        self._thread: threading.Thread | None = None
        self._found: Trained | None = None

    def start(self) -> None:
        """Starts it, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def take(self) -> Trained | None:
        """What was trained, once; None before and after, and where it failed."""
        if self._thread is None or self._thread.is_alive():
            return None
        found, self._found = self._found, None
        return found

    def wait(self) -> None:
        """Waits for its end, where it was started."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with suppress(Exception):  # trials go on; whoever needs it tries again, and tells why
            self._found = self._train()
