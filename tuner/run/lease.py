"""A lease on a run: only one search at a time may write to its copy in storage, or to its folder.

The lease is a file beside the run, which its holder renews. Whether a lease is alive is seen by watching whether it
changes, because the clocks of two machines differ. A search that lost its lease writes no more, whatever has become
of the other one: a lease that was removed meanwhile is a lost one.

A run folder has a lock, too (`tuner.run.lock`). Its lease is for file systems that show the lock to one host alone.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from tuner.errors import RunFolderError
from tuner.storage import Storage

LEASE = "searching"  # the file's name in a copy
_POLL_S = 1.0
_LAST_RENEWAL_S = 5.0  # a renewal under way may take so long in the end


@dataclass(frozen=True)
class Pace:
    """The times of a lease."""

    renew_s: float
    watch_s: float  # a lease that is not renewed for so long is a dead search's
    settle_s: float  # the holder looks again after so long: another one may have taken it at the same moment


_OF_COPIES = Pace(renew_s=15.0, watch_s=50.0, settle_s=1.0)


class LeaseTaken(Exception):
    """Another search has taken the lease; the message names it."""


class Lease:
    """The lease on one run, held or not.

    Args:
        storage: where the run lies.
        check: raises where the search was asked to end meanwhile.
        name: the lease's file.
        lock: identifies a lock that this search holds beside the lease, among all who see that lock, if it does.
        notify: receives a line for the person where taking it lasts.
        clock: seconds, from any start.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        storage: Storage,
        check: Callable[[], None],
        *,
        name: str = LEASE,
        lock: str | None = None,
        pace: Pace | None = None,
        notify: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage = storage
        self._check = check
        self._name = name
        self._lock = lock
        self._pace = pace or _OF_COPIES
        self._notify = notify
        self._clock = clock
        self._sleep = sleep
        self._token = uuid4().hex
        self._renewals = 0
        self._is_over = threading.Event()
        self._is_held = False
        self._lost: LeaseTaken | None = None
        self._confirmed_at = clock()
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)

    def take(self) -> None:
        """Waits until no other search renews the lease, then takes it.

        Raises:
            RunFolderError: another search renews it.
        """
        seen = self._storage.read(self._name)
        until = self._clock() + self._pace.watch_s
        if seen is not None and not is_over(seen, self._lock):
            self._notify(
                f"tuner: {self._storage.place}: its last search ({owner_in(seen)}) has not ended by itself; watching "
                f"for {self._pace.watch_s:.0f} s whether it still runs"
            )
        while seen is not None and not is_over(seen, self._lock) and self._clock() < until:
            self._check()
            self._sleep(_POLL_S)
            now = self._storage.read(self._name)
            if now is not None and now != seen:
                raise RunFolderError(
                    f"{self._storage.place}: a search is running in it ({owner_in(now)}); "
                    "wait for it, or stop it where it runs"
                )
            seen = now
        self._write()
        # A search that took it at the same moment has written by now: the last writer holds it.
        self._sleep(self._pace.settle_s)
        if (
            self._storage.read(self._name) is None
        ):  # removed by an earlier search, which ended just now
            self._write()
            self._sleep(self._pace.settle_s)
        with suppress(LeaseTaken):
            self.confirm()
            self._is_held = True
            return
        raise RunFolderError(f"{self._storage.place}: another search has just begun in it")

    def start_renewing(self) -> None:
        """Renews the lease from now on, in a thread."""
        self._renewing.start()

    def _renew(self) -> None:
        while not self._is_over.wait(self._pace.renew_s):
            with suppress(OSError, LeaseTaken):  # the search meets the same soon
                self.renew()

    def renew(self) -> None:
        """Shows that this search lives.

        Raises:
            LeaseTaken: another search has taken the lease.
            OSError: the storage does not answer.
        """
        self.confirm()
        self._write()

    def confirm(self) -> None:
        """Checks that no other search has taken the lease; once one has, it stays lost.

        Raises:
            LeaseTaken: one has.
            OSError: the storage does not answer.
        """
        began = self._clock()
        if self._lost is None:
            content = self._storage.read(self._name)
            if content is None and self._is_held:
                self._lost = LeaseTaken("which has ended")
            elif content is not None and _field(content, "token") != self._token:
                self._lost = LeaseTaken(owner_in(content))
        if self._lost is not None:
            raise self._lost
        self._confirmed_at = began

    def confirm_if_due(self) -> None:
        """As `confirm`, but asks the storage only where that was long ago: the renewals may have stood still.

        Raises:
            LeaseTaken, OSError: as there.
        """
        if self._lost is not None or self._clock() > self._confirmed_at + 2 * self._pace.renew_s:
            self.confirm()

    def release(self) -> None:
        """Stops renewing the lease, and gives it up if it is still held and the storage answers."""
        self._is_over.set()
        if self._renewing.is_alive():
            self._renewing.join(_LAST_RENEWAL_S)
            if self._renewing.is_alive():  # or its renewal would come after the removal
                return
        with suppress(OSError, LeaseTaken):
            self.confirm()
            self._storage.remove(self._name)

    def _write(self) -> None:
        self._renewals += 1
        content = {
            "owner": f"process {os.getpid()} on {socket.gethostname()}",
            "boot": boot_id(),
            "lock": self._lock,
            "token": self._token,
            "renewals": self._renewals,
        }
        self._storage.write(self._name, json.dumps(content).encode())


def boot_id() -> str:
    """Distinguishes one start of one machine from all others, and containers by the root of their process ids."""
    with suppress(OSError):
        if kernel := kernel_id():
            return f"{kernel} {os.stat('/proc/self/ns/pid').st_ino}"
    return socket.gethostname()


def kernel_id() -> str | None:
    """Distinguishes one start of one machine from all others; None where this system does not tell."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return None


def is_over(lease: bytes, lock: str | None) -> bool:
    """Whether it can be seen at once that the search of this lease has ended.

    Args:
        lock: one that is free for us, or held by us; None where there is none.
    """
    if _field(lease, "boot") != boot_id():  # elsewhere, or in another container
        return lock is not None and _field(lease, "lock") == lock
    return _is_of_dead_process(lease)


def _is_of_dead_process(lease: bytes) -> bool:
    words = owner_in(lease).split()
    if len(words) != 4 or not words[1].isdecimal():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    with suppress(OSError), open(f"/proc/{words[1]}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"  # killed, its parent does not know
    return False


def owner_in(lease: bytes) -> str:
    """The search that wrote this lease, `process 123 on host`."""
    return str(_field(lease, "owner"))


def _field(lease: bytes, name: str) -> object:
    try:
        content = json.loads(lease)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None
