"""Points at which the tests of faults kill the process, to check that nothing is lost; otherwise they do nothing."""

import os
import signal
from collections import Counter
from enum import StrEnum

# "reported:3" kills the process when it comes to that point for the third time.
VARIABLE = "TUNER_KILL_AT"


class KillPoint(StrEnum):
    """A point between two steps, of which the second must not be lost when the process dies."""

    FOLDER_CLAIMED = "folder_claimed"
    RAY_STARTED = "ray_started"
    BASELINE_ENQUEUED = "baseline_enqueued"
    STUDY_OPENED = "study_opened"
    ASKED = "asked"
    SUGGESTED = "suggested"
    EPOCH_NOTED = "epoch_noted"
    REPORTED = "reported"
    STATUS_NOTED = "status_noted"
    MODEL_KEPT = "model_kept"  # of a trial that is not told yet, or trained on all rows
    TRIAL_TOLD = "trial_told"  # before it becomes a member of the ensemble
    ENSEMBLE_RECORDED = "ensemble_recorded"
    TOLD = "told"
    RETRY_ENQUEUED = "retry_enqueued"
    RETRY_MARKED = "retry_marked"
    FILE_WRITTEN = "file_written"  # under its temporary name
    CLOSING = "closing"
    CLOSED = "closed"


_passed: Counter[str] = Counter()


def kill_point(point: KillPoint) -> None:
    """Kills this process at once if the environment asks for that here."""
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return
    _passed[point] += 1
    if wanted == f"{point}:{_passed[point]}":
        os.kill(os.getpid(), signal.SIGKILL)
