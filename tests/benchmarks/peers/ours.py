"""Not a peer: tuner itself, started as `tuner search` starts it, with a listener that notes what it would hand over."""

import os
from pathlib import Path

from task import SPACE, Job

from tuner.execution.search import run_search
from tuner.run.events import Event, EventKind, SearchState
from tuner.run.folder import RunFolder
from tuner.settings.config import make_config

LINEAR = "linear reference"


class Incumbents:
    """Notes the best trial that has ended and the ensemble, whenever they change, and keeps their models."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._noted: dict[str, list[dict[str, object]]] = {}

    def on_event(self, event: Event, state: SearchState) -> None:
        """Called by the search."""
        if event.kind is EventKind.TRIAL_STARTED and event.trial is not None:
            self._job.note(started=str(event.trial.number))
        folder = RunFolder(Path(self._job.scratch) / state.name)
        ensemble, together = state.ensemble, None
        if ensemble is not None:
            trials = [
                {"trial": number, "path": self._kept(folder.trial_model(number))}
                for number in ensemble.members
            ]
            self._note("single", [{**trials[0], "weight": 1.0}])
            together = ensemble.with_reference
        reference = 0.0 if together is None else together.weight
        if ensemble is None and state.reference is not None:
            reference = 1.0
        models: list[dict[str, object]] = []
        if ensemble is not None:
            weight = (1 - reference) / len(trials)
            models = [{**each, "weight": weight} for each in trials]
        if reference:
            linear = {"trial": LINEAR, "path": self._kept(folder.reference)}
            models.append({**linear, "weight": reference})
        if models:
            self._note("averaged", models)

    def _note(self, outcome: str, models: list[dict[str, object]]) -> None:
        if self._noted.get(outcome) != models:
            self._noted[outcome] = models
            self._job.note(**{outcome: models})

    def _kept(self, path: Path) -> str:
        """A second name for the file as it is now, which the search replaces or removes."""
        kept = path.with_name(f"{path.stem}-{path.stat().st_ino}.kept")
        kept = Path(self._job.scratch) / kept.name
        if not kept.exists():
            os.link(path, kept)
        return str(kept)


def main() -> None:
    """Searches until it is ended."""
    job = Job.from_command_line()
    config = make_config(
        {
            "space": str(SPACE),
            "data": {"source": job.texts},
            "out": job.scratch,
            "name": "ours",
            "time_budget": job.limit_s,
            "seed": job.seed,
        }
    )
    run_search(config, Incumbents(job))


if __name__ == "__main__":
    main()
