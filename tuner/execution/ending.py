"""The end of a session: study, files and exporters are left whole, however it comes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tuner.errors import JournalLost
from tuner.execution.interrupts import Interrupted, StopRequested, TimeIsUp
from tuner.execution.run_files import RunFiles
from tuner.kill_points import KillPoint, kill_point
from tuner.run.sessions import SessionEnd
from tuner.search.session import SearchSession
from tuner.tracking.background import Tracking

_EXPORT_S = 60.0  # longest wait, at the end, for each trial that exporters lack
_HURRIED_EXPORT_S = 5.0


@contextmanager
def left_whole(session: SearchSession, files: RunFiles) -> Iterator[None]:
    """Leaves study and files whole, however the session ends.

    Except with a torn journal: the next search cuts half a line off its end, which it could not do if another line
    followed.
    """
    try:
        yield
    except JournalLost:
        raise
    except BaseException as cause:
        _close(session, files, _session_end(cause))
        raise
    has_failed = session.last_failure is not None
    _close(session, files, SessionEnd.FAILED if has_failed else SessionEnd.BUDGET_USED)


def _session_end(cause: BaseException) -> SessionEnd:
    if isinstance(cause, TimeIsUp):
        return SessionEnd.BUDGET_USED
    if isinstance(cause, StopRequested):
        return SessionEnd.STOPPED
    return SessionEnd.INTERRUPTED if isinstance(cause, Interrupted) else SessionEnd.FAILED


def _close(session: SearchSession, files: RunFiles, reason: SessionEnd) -> None:
    kill_point(KillPoint.CLOSING)
    session.close(reason)
    kill_point(KillPoint.CLOSED)
    files.write()


@contextmanager
def exporting(
    tracking: Tracking, notify: Callable[[str], None], check: Callable[[], None]
) -> Iterator[None]:
    """Keeps exporters up to date and waits for them at the end, only shortly if the search was interrupted.

    Args:
        notify: receives notes for the person.
        check: raises where the search was asked to end.
    """
    tracking.start()
    try:
        try:
            yield
        except TimeIsUp:
            tracking.finish(_EXPORT_S, check)
            raise
        except BaseException:
            tracking.finish(_HURRIED_EXPORT_S)
            raise
        tracking.finish(_EXPORT_S, check)
    finally:
        for note in tracking.notes():
            notify(note)
