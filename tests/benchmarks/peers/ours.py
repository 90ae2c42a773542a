"""Not a peer: tuner itself, started as `tuner search` starts it, with a listener that writes the peers' log."""

from task import SPACE, Job

from tuner.execution.search import run_search
from tuner.run.events import Event, EventKind, SearchState
from tuner.settings.config import make_config


class Log:
    """Notes every epoch that ends."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def on_event(self, event: Event, state: SearchState) -> None:
        """Called by the search."""
        if event.kind is EventKind.EPOCH_ENDED and event.trial is not None:
            self._job.log_epoch(event.trial.number, event.trial.epoch, event.score or 0.0)


def main() -> None:
    """Searches until it is ended."""
    job = Job.from_command_line()
    config = make_config(
        {
            "space": str(SPACE),
            "data": {"source": "imdb-train", "sample": job.sample, "seed": job.seed},
            "out": job.scratch,
            "time_budget": job.limit_s,
            "seed": job.seed,
        }
    )
    run_search(config, Log(job))


if __name__ == "__main__":
    main()
