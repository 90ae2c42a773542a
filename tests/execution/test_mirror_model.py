"""Two heads that share a copy, in every order of steps: nothing that the copy has ever held is missing from it later.

Each head works in threads that stop before every access to the storage, until the test lets them go on. So a head may
be silent between any two accesses while the other one takes over, searches, ends or dies. Accesses may fail, before or
after they took effect.
"""

import itertools
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.examples import examples
from support.watching import Clock

from tuner.errors import RunFolderError
from tuner.execution.mirror import StorageMirror
from tuner.run.folder import RunFolder
from tuner.run.lease import LEASE, LeaseTaken
from tuner.storage import FileChanged, Storage

JOURNAL = "study.journal"
HEADS = st.sampled_from([0, 1])
# The access before which a head stops.
STOPS = st.sampled_from(
    ["end", "end", "replace", "replace", "read", "write", "version", "remove", "sleep"]
)
# How an access ends: as it should, or with an error before or after it took effect.
ENDINGS = st.sampled_from(["well"] * 8 + ["lost before", "lost after"])


class Killed(BaseException):
    """Ends the thread of a head that has died."""


class Lane:
    """A thread of a head, which stops before every access to the storage."""

    current = threading.local()

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.is_busy = False
        self.is_killed = False
        self.ending = "well"
        self.next_access = ""

    def begin(self, action: Callable[[], None]) -> None:
        self.is_busy = True

        def run() -> None:
            Lane.current.lane = self
            self._go.acquire()
            with suppress(Killed, OSError, LeaseTaken, RunFolderError):
                if not self.is_killed:
                    action()
            self.is_busy = False
            self._stopped.release()

        threading.Thread(target=run, daemon=True).start()

    def step(self, ending: str = "well") -> None:
        """Lets it go on to the next access, or to its end."""
        self.ending = ending
        self._go.release()
        assert self._stopped.acquire(timeout=60)

    def kill(self) -> None:
        self.is_killed = True
        while self.is_busy:
            self.step()

    @staticmethod
    def stop_here(access: str) -> str:
        lane: Lane = Lane.current.lane
        lane.next_access = access
        if lane.is_killed:
            raise Killed
        lane._stopped.release()
        lane._go.acquire()
        if lane.is_killed:
            raise Killed
        return lane.ending


class SharedStore:
    """A store with conditional writes, as `Storage` shows S3; every access is one step."""

    place = "s3://bucket/run"

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, str]] = {}
        self.lost: str | None = None
        self._versions = itertools.count(1)

    def _access(self, kind: str, act: Callable[[], Any]) -> Any:
        ending = Lane.stop_here(kind)
        if ending == "lost before":
            raise OSError("the request was lost")
        result = act()
        if ending == "lost after":
            raise OSError("the answer was lost")
        return result

    def read(self, name: str) -> bytes | None:
        return self._access("read", lambda: self.files.get(name, (None, ""))[0])

    def version(self, name: str) -> str:
        return self._access("version", lambda: self.files.get(name, (None, ""))[1])

    def names(self, folder: str) -> list[str]:
        return []

    def write(self, name: str, content: bytes) -> None:
        self._access("write", lambda: self._put(name, content))

    def replace(self, name: str, content: bytes, version: str | None) -> str:
        def act() -> str:
            if self.files.get(name, (None, ""))[1] != version:
                raise FileChanged(name)
            return self._put(name, content)

        return self._access("replace", act)

    def remove(self, name: str) -> None:
        self._access("remove", lambda: self.files.pop(name, None))

    def _put(self, name: str, content: bytes) -> str:
        before = self.files.get(name, (b"", ""))[0]
        if name == JOURNAL and not content.startswith(before):
            self.lost = f"{before!r} was replaced by {content!r}"
        version = f"v{next(self._versions)}"
        self.files[name] = content, version
        return version


class Head:
    """A machine: its run folder, and the search that runs there, if one does."""

    def __init__(self, number: int, folder: Path, store: SharedStore, clock: Clock) -> None:
        self.number = number
        self.folder = RunFolder(folder)
        self.store = store
        self.clock = clock
        self.lanes = {"main": Lane(), "renewing": Lane()}
        self.is_searching = False
        self.written = itertools.count(1)
        self.mirror: StorageMirror | None = None
        folder.mkdir()

    def sleep(self, seconds: float) -> None:
        Lane.stop_here("sleep")
        self.clock.sleep(seconds)

    def start(self) -> None:
        mirror = StorageMirror(
            self.folder,
            cast("Storage", self.store),
            lambda: None,
            clock=self.clock,
            sleep=self.sleep,
        )
        mirror._lease.start_renewing = lambda: None  # type: ignore[method-assign] - by a rule
        self.mirror = mirror

        def search() -> None:
            mirror.take_up()
            self.is_searching = True

        self.lanes["main"].begin(search)

    def append(self) -> None:
        with open(self.folder.journal, "a", encoding="utf-8") as journal:
            journal.write(f"{next(self.written)} by {self.number}\n")

    def copy(self) -> None:
        mirror = self.mirror
        assert mirror is not None

        def copy() -> None:
            try:
                mirror._copy(mirror._changes())
            except LeaseTaken:
                self.is_searching = False  # the search stops
                raise

        self.lanes["main"].begin(copy)

    def renew(self) -> None:
        assert self.mirror is not None
        self.lanes["renewing"].begin(self.mirror._lease.renew)

    def end(self) -> None:
        assert self.mirror is not None
        self.is_searching = False
        self.lanes["main"].begin(self.mirror._lease.release)

    def die(self) -> None:
        for lane in self.lanes.values():
            lane.kill()
        self.lanes = {"main": Lane(), "renewing": Lane()}
        self.is_searching = False
        self.mirror = None


class TwoHeads(RuleBasedStateMachine):
    """Every order of steps of two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.store = SharedStore()
        self.clock = Clock(1000.0)
        self.heads = [
            Head(number, Path(self.temporary.name) / str(number), self.store, self.clock)
            for number in (0, 1)
        ]

    @rule(head=HEADS, until=STOPS, ending=ENDINGS)
    def work(self, head: int, until: str, ending: str) -> None:
        """Starts a search, or copies what one has found; stops before some access."""
        one = self.heads[head]
        if not one.lanes["main"].is_busy:
            if one.is_searching:
                one.append()
                one.copy()
            else:
                one.start()
        self.go_on(one.lanes["main"], until, ending)

    @rule(head=HEADS)
    def work_for_a_while(self, head: int) -> None:
        """From the start of a search, or from where it stopped, to a copy of what it has found."""
        for _ in range(3):
            self.work(head, "end", "well")

    @rule(head=HEADS, until=STOPS, ending=ENDINGS)
    def renew(self, head: int, until: str, ending: str) -> None:
        one = self.heads[head]
        if one.is_searching and not one.lanes["renewing"].is_busy:
            one.renew()
        self.go_on(one.lanes["renewing"], until, ending)

    @rule(head=HEADS, until=STOPS)
    def end(self, head: int, until: str) -> None:
        one = self.heads[head]
        if one.is_searching and not one.lanes["main"].is_busy:
            one.end()
            self.go_on(one.lanes["main"], until, "well")

    @rule(head=HEADS)
    def die(self, head: int) -> None:
        self.heads[head].die()

    @staticmethod
    def go_on(lane: Lane, until: str, ending: str) -> None:
        """Lets a head go on to the next access of this kind; the one before it that has just begun ends so."""
        while lane.is_busy:
            lane.step(ending)
            ending = "well"
            if lane.next_access == until:
                return

    @precondition(lambda self: self.store.files.get(LEASE))
    @rule()
    def remove_lease(self) -> None:
        """As a person may, who takes it for a leftover."""
        del self.store.files[LEASE]

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.store.lost is None

    def teardown(self) -> None:
        for head in self.heads:
            head.die()
        self.temporary.cleanup()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
class TestTwoHeads(TwoHeads.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(
        max_examples=examples(150),
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("silent_before", ["read", "version", "replace"])
@pytest.mark.parametrize("then", ["searches on", "ends", "dies"])
def test_a_head_that_was_silent_writes_no_more_whatever_the_other_one_does(
    silent_before: str, then: str
) -> None:
    machine = TwoHeads()
    try:
        machine.work_for_a_while(0)
        machine.work(0, silent_before, "well")
        machine.work_for_a_while(1)
        if then == "ends":
            machine.end(1, "end")
        if then == "dies":
            machine.die(1)
        held = machine.store.files[JOURNAL]
        machine.work(0, "end", "well")
        machine.renew(0, "end", "well")
        assert machine.store.files[JOURNAL] == held
        assert machine.store.lost is None
    finally:
        machine.teardown()
