"""Ends a search that runs in another process, through its run folder. Must not import Ray or Keras."""

import time
from collections.abc import Callable

from tuner.errors import RunFolderError
from tuner.run.folder import RunFolder
from tuner.run.lock import is_abandoned, owner_of
from tuner.text import format_duration

_POLL_S = 0.1


def stop_search(
    folder: RunFolder,
    *,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Asks the search in `folder` to end and waits until it has; returns its owner, `process 123 on host`.

    Raises:
        RunFolderError: no search runs in it, it cannot be asked, or has not ended within `timeout_s` seconds.
    """
    searcher = owner_of(folder)
    if searcher is None:
        state = "its search has died" if is_abandoned(folder) else "no search is running in it"
        raise RunFolderError(f"{folder.path}: {state}; `tuner status` shows more")
    until = clock() + timeout_s
    while owner_of(folder) is not None:
        try:
            folder.stop_request.touch()  # again and again: a search that just starts removes old ones
        except (
            FileNotFoundError
        ):  # it has just ended before its first trial, and removed its folder
            continue
        except OSError as cause:
            raise RunFolderError(
                f"{folder.stop_request}: cannot be written ({cause.strerror}); ask the owner of {searcher}"
            ) from cause
        if clock() > until:
            raise RunFolderError(
                f"{folder.path}: its search ({searcher}) has not ended within {format_duration(timeout_s)}; "
                "it ends at its next step: wait, or kill it, the same command continues"
            )
        sleep(_POLL_S)
    folder.stop_request.unlink(missing_ok=True)
    return searcher
