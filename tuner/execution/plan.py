"""A plan, which the runner carries out, and its outcome: the same types for a search and a confirmation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tuner.data import Dataset
from tuner.execution.task import Task
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.sessions import SessionEnd
from tuner.search.study import SearchStudy
from tuner.settings.config import SearchConfig

if TYPE_CHECKING:
    from tuner.execution.run_files import RunFiles


class BackgroundTraining(Protocol):
    """What a session trains in a thread beside its trials. Every call comes from the driver's one thread."""

    def start(self) -> None:
        """Starts it where it is needed, once: the first trial has its process."""

    def collect(self) -> bool:
        """Keeps what was trained, where that has ended since the last call.

        Returns:
            Whether figures of trials changed by it.
        """

    def wait(self) -> None:
        """Waits for its end where it was started, and keeps what was trained."""


class NoBackgroundTraining:
    """See `BackgroundTraining`."""

    def start(self) -> None:
        """Nothing."""

    def collect(self) -> bool:
        """Nothing."""
        return False

    def wait(self) -> None:
        """Nothing."""


class Plan(Protocol):
    """Trials to be run in a run folder."""

    @property
    def config(self) -> SearchConfig:
        """Budget and resources."""

    @property
    def folder(self) -> RunFolder:
        """The run folder, which records them."""

    @property
    def dataset(self) -> Dataset:
        """The data that the trials learn from."""

    @property
    def code(self) -> Mapping[str, str]:
        """Digests of the code of the person's own architectures, as the session begins with it."""

    @property
    def run(self) -> Run:
        """The run as it is read from the folder, once there is a study in it."""

    @property
    def notes(self) -> Sequence[str]:
        """What the person is told before the first trial, or where there is none to run, once there is a study."""

    def on_cpus(self) -> "Plan | None":
        """The plan without GPUs, where nobody has asked for them; else None."""

    def check(self) -> None:
        """Refuses a run folder of another plan.

        Raises:
            UsageError: in one line, why.
        """

    def finish_if_done(self) -> bool:
        """Brings study and files up to date where nothing is left to train; True then, and Ray need not start."""

    def open(self, workers: int) -> SearchStudy:
        """The study, ready to ask. The plan is recorded in the run folder first."""

    def task(self) -> Task:
        """The data and settings that all trials share."""

    def background_training(self, study: SearchStudy) -> BackgroundTraining:
        """What a session trains beside its trials; `study` is open."""

    def conclude(self, study: SearchStudy) -> None:
        """Does what is left when the budget is used up; `study` was closed."""

    def files(self, study: SearchStudy) -> "RunFiles":
        """The files that follow `study`."""


@dataclass(frozen=True)
class SearchOutcome:
    """The run, and why its session ended."""

    run: Run
    reason: SessionEnd
    signal_number: int | None = None  # of an interrupted one
