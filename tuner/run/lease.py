"""A lease on a copy of a run in storage: only one search at a time may write to it.

The lease is a file in the copy, which its holder renews. Whether a lease is alive is seen by watching whether it
changes, because the clocks of two machines differ. A search that lost its lease writes no more, whatever has become
of the other one: a lease that was removed meanwhile is a lost one.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from tuner.errors import RunFolderError
from tuner.storage import Storage

LEASE = "searching"  # the file's name
_RENEW_S = 15.0
_WATCH_S = 50.0  # a lease that is not renewed for so long is a dead search's
_POLL_S = 1.0
_LAST_RENEWAL_S = 5.0  # a renewal under way may take so long in the end


class LeaseTaken(Exception):
    """Another search has taken the lease; the message names it."""


class Lease:
    """The lease on one copy, held or not.

    Args:
        storage: where the copy lies.
        check: raises where the search was asked to end meanwhile.
        clock: seconds, from any start.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        storage: Storage,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._storage = storage
        self._check = check
        self._clock = clock
        self._sleep = sleep
        self._token = uuid4().hex
        self._renewals = 0
        self._is_over = threading.Event()
        self._is_held = False
        self._lost: LeaseTaken | None = None
        self._renewing = threading.Thread(target=self._renew, name="lease", daemon=True)

    def take(self) -> None:
        """Waits until no other search renews the lease, then takes it.

        Raises:
            RunFolderError: another search renews it.
        """
        seen = self._storage.read(LEASE)
        until = self._clock() + _WATCH_S
        while seen is not None and not _is_of_dead_process(seen) and self._clock() < until:
            self._check()
            self._sleep(_POLL_S)
            now = self._storage.read(LEASE)
            if now is not None and now != seen:
                raise RunFolderError(
                    f"{self._storage.place}: a search is running in it ({_owner(now)}); "
                    "wait for it, or stop it where it runs"
                )
            seen = now
        self._write()
        # A search that took it at the same moment has written by now: the last writer holds it.
        self._sleep(_POLL_S)
        if self._storage.read(LEASE) is None:  # removed by an earlier search, which ended just now
            self._write()
            self._sleep(_POLL_S)
        with suppress(LeaseTaken):
            self.confirm()
            self._is_held = True
            return
        raise RunFolderError(f"{self._storage.place}: another search has just begun in it")

    def start_renewing(self) -> None:
        """Renews the lease from now on, in a thread."""
        self._renewing.start()

    def _renew(self) -> None:
        while not self._is_over.wait(_RENEW_S):
            with suppress(OSError, LeaseTaken):  # the next copying fails for the same reason
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
        if self._lost is None:
            content = self._storage.read(LEASE)
            if content is None and self._is_held:
                self._lost = LeaseTaken("which has ended")
            elif content is not None and _field(content, "token") != self._token:
                self._lost = LeaseTaken(_owner(content))
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Stops renewing the lease, and gives it up if it is still held and the storage answers."""
        self._is_over.set()
        if self._renewing.is_alive():
            self._renewing.join(_LAST_RENEWAL_S)
            if self._renewing.is_alive():  # or its renewal would come after the removal
                return
        with suppress(OSError, LeaseTaken):
            self.confirm()
            self._storage.remove(LEASE)

    def _write(self) -> None:
        self._renewals += 1
        content = {
            "owner": f"process {os.getpid()} on {socket.gethostname()}",
            "boot": boot_id(),
            "token": self._token,
            "renewals": self._renewals,
        }
        self._storage.write(LEASE, json.dumps(content).encode())


def boot_id() -> str:
    """Distinguishes one start of one machine from all others, and containers by the root of their process ids."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return f"{file.read().strip()} {os.stat('/proc/self/ns/pid').st_ino}"
    return socket.gethostname()


def _is_of_dead_process(lease: bytes) -> bool:
    """Whether its search ran on this machine, since the machine started, and has ended."""
    words = _owner(lease).split()
    if _field(lease, "boot") != boot_id() or len(words) != 4 or not words[1].isdecimal():
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _owner(lease: bytes) -> str:
    return str(_field(lease, "owner"))


def _field(lease: bytes, name: str) -> object:
    try:
        content = json.loads(lease)
    except ValueError:
        return None
    return content.get(name) if isinstance(content, dict) else None
