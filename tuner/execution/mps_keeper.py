"""A process that ends MPS when no process uses it any more; see `tuner.execution.mps`.

    python -m tuner.execution.mps_keeper FOLDER GRACE_S

Nobody else could: a search may be killed, on several machines at once. It is no child of the process that starts it,
because Ray ends the children of its workers.
"""

import fcntl
import os
import sys
import time
from pathlib import Path

from tuner.execution import mps

_POLL_S = 1.0


def keep(folder: Path, grace_s: float) -> None:
    """Ends MPS in `folder` when nobody has used it for `grace_s` seconds; returns when the folder is gone."""
    own = os.open(folder, os.O_RDONLY)
    fcntl.flock(
        own, fcntl.LOCK_SH
    )  # for systemd, which clears old files from /tmp: it lets locked folders be
    used_at = time.monotonic()
    while True:
        try:
            if not os.path.samestat(os.fstat(own), os.stat(folder)):
                return
            if mps.is_used(folder):
                used_at = time.monotonic()
            elif time.monotonic() - used_at >= grace_s:
                with mps.lock(folder):
                    if not mps.is_used(folder):
                        mps.end(folder)
                        return
        except FileNotFoundError:  # a start that failed removed it
            return
        except OSError:  # such as a start that holds the lock for long: nobody else would end MPS
            pass
        time.sleep(min(_POLL_S, grace_s))


if __name__ == "__main__":
    if os.fork() == 0:
        keep(Path(sys.argv[1]), float(sys.argv[2]))
