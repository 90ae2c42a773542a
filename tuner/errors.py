"""Every error that this package raises on purpose, and what a search does on each.

    TunerError
    ├── UsageError            refused before anything starts: one line on stderr, exit code 2
    │   ├── SpaceError        a search space that cannot be searched
    │   ├── ConfigError       settings that contradict each other or make no sense
    │   ├── DataError         data that cannot be read, split or downloaded
    │   └── RunFolderError    a run folder that is missing, in use, damaged or of another search
    ├── TrialError            this trial ends as a row with its status and reason; the search continues
    │   ├── TrialFailed       its model could not be built or trained
    │   │   └── TrialBroke    something else than tuner raised: before its first epoch, it runs again in another process
    │   ├── TrialDiverged     its loss became NaN or infinite
    │   ├── TrialOutOfMemory  it asked for more memory than its share
    │   └── DeviceFault       its device failed: not a row; the trial runs again in another process
    │       ├── MpsFault      through MPS, which takes all its clients down: not the trial's doing
    │       └── GpuMissing    Keras' backend finds no GPU: before any trial has trained, the search stops
    └── SearchError           the search stops, keeps finished trials and prints why: exit code 1
        └── JournalLost       the study cannot be written: nothing more may be appended to it in this session

A message names the place, the rule, the value given, and what to write instead. Three exceptions that end a search in
good order are no errors: `Interrupted`, `StopRequested` and `TimeIsUp` in `tuner.execution.interrupts`.
"""

from typing import Self


class TunerError(Exception):
    """Root of every error raised on purpose; anything else that escapes is a bug of ours."""


class UsageError(TunerError):
    """The request cannot be met as it was written; nothing was started and nothing was left behind."""

    setting: str | None = None  # the keyword that the message begins with

    @classmethod
    def of(cls, setting: str, rule: str) -> Self:
        """The error `setting: rule`, of a setting by its keyword, which the command line shows as a flag."""
        error = cls(f"{setting}: {rule}")
        error.setting = setting
        return error

    @property
    def in_flags(self) -> str:
        """The message as the command line prints it."""
        if self.setting is None:
            return str(self)
        return f"--{self.setting.replace('_', '-')}{str(self).removeprefix(self.setting)}"


class SpaceError(UsageError):
    """A search space is not valid; the message names file, field and rule."""


class ConfigError(UsageError):
    """A setting of the search is out of range, unknown, or contradicts another one."""


class DataError(UsageError):
    """A data set is missing, unreadable, or cannot be split as requested."""

    @classmethod
    def at(cls, where: str, message: str) -> "DataError":
        """The error `where: message` on one line, white space collapsed."""
        return cls(" ".join(f"{where}: {message}".split()))


class RunFolderError(UsageError):
    """A run folder does not exist, is in use, is damaged, or belongs to another search."""


class TrialError(TunerError):
    """One trial cannot continue; it is recorded with its reason, and the search continues."""


class TrialFailed(TrialError):
    """A trial's model could not be built or trained."""


class TrialBroke(TrialFailed):
    """Something else than this package raised: the model may be the cause, or the process that trained it."""


class TrialDiverged(TrialError):
    """A trial's loss became NaN or infinite."""


class TrialOutOfMemory(TrialError):
    """A trial asked for more memory than its share.

    Args:
        reason: the message.
        is_gpu_full: whether that is memory of a GPU, not of the machine.
    """

    def __init__(self, reason: str, *, is_gpu_full: bool = True) -> None:
        super().__init__(reason)
        self.is_gpu_full = is_gpu_full


class DeviceFault(TrialError):
    """A trial's GPU failed, or MPS did; the process that met this can use the GPU no more."""


class MpsFault(DeviceFault):
    """A fault that a process met which uses its GPU through MPS, so that any other client may be its cause."""


class GpuMissing(DeviceFault):
    """A trial was given a GPU that Keras' backend does not find."""


class SearchError(TunerError):
    """The search itself cannot continue; finished trials are kept."""


class JournalLost(SearchError):
    """The journal is no longer this session's: an entry was not written whole, the file was replaced or removed, or
    another host has taken the run over.
    """
