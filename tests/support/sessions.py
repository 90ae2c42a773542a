"""Sessions of a search without Ray, for tests of its decisions."""

from pathlib import Path

from support.watching import Clock, Recorder

from tuner.run.trial_status import TrialStatus
from tuner.search.opening import create_or_open_study
from tuner.search.session import SearchSession
from tuner.settings.config import SamplerName, SearchConfig
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult


class Search:
    """Sessions over one journal, as the driver would open them."""

    def __init__(self, folder: Path, space: SearchSpace) -> None:
        self.folder = folder
        self.space = space
        self.clock = Clock()
        self.recorder = Recorder()

    def watch(self, session: SearchSession, seconds: int) -> list[int]:
        """Lets so many seconds pass; returns the trials that were found to hang."""
        hanging: list[int] = []
        for _ in range(seconds):
            self.clock.now += 1
            hanging += session.newly_hanging()
        return hanging

    def open(self, workers: int = 2, **settings: object) -> SearchSession:
        self.workers = workers
        pruner = {} if "objectives" in settings else {"pruner": "halving"}
        config = SearchConfig.model_validate(
            {"space": self.space, "trials": 5, **pruner, **settings}
        )
        study = create_or_open_study(
            self.folder / "study.journal",
            self.space,
            seed=config.seed,
            sampler=SamplerName.RANDOM,
            pruner=config.pruner,
            max_epochs=config.epochs,
            workers=workers,
            objectives=config.compared_by,
        )
        return SearchSession(
            study,
            config,
            workers=lambda: self.workers,
            listener=self.recorder,
            clock=self.clock,
            wall_clock=lambda: 1e9 + self.clock.now,
        )

    @property
    def journal_lines(self) -> int:
        return (self.folder / "study.journal").read_bytes().count(b"\n")


def epoch(number: int, accuracy: float = 0.8) -> EpochResult:
    return EpochResult(
        epoch=number,
        loss=0.5,
        accuracy=accuracy,
        val_loss=0.5,
        val_accuracy=accuracy,
        val_f1=accuracy,
        seconds=1.0,
    )


def complete(session: SearchSession, accuracy: float = 0.8) -> int:
    number = session.start_trial().number
    session.end_epoch(number, epoch(1, accuracy))
    session.end_trial(number, TrialStatus.COMPLETE)
    return number
