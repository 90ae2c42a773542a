"""Peer: Optuna with nothing around it: TPE with its defaults, Hyperband's pruner, one thread per core.

Its tutorial "Efficient Optimization Algorithms" says under "Which Sampler and Pruner Should be Used?": for TPESampler,
HyperbandPruner is the best. Keras' pruning callback lives in another package today (optuna-integration), so the
objective reports by itself, as the same tutorial shows.
"""

import keras
import optuna
from task import MAX_EPOCHS, Job, Reviews, build, fit, load_reviews, suggest


class Pruning(keras.callbacks.Callback):
    """Reports every epoch, and ends a trial that the pruner gives up."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self._trial = trial

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Called by Keras."""
        self._trial.report((logs or {})["val_accuracy"], epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def objective(trial: optuna.Trial, job: Job, reviews: tuple[Reviews, Reviews]) -> float:
    """One trial; its last epoch's accuracy."""
    parameters = suggest(trial)
    callbacks = [job.keeps_incumbents(trial.number, parameters), Pruning(trial)]
    history = fit(build(parameters), parameters, reviews, callbacks)
    return history.history["val_accuracy"][-1]


def main() -> None:
    """Searches until it is ended."""
    job = Job.from_command_line()
    keras.utils.set_random_seed(job.seed)
    reviews = load_reviews(job.data)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=job.seed),
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=MAX_EPOCHS, reduction_factor=3
        ),
    )
    study.optimize(
        lambda trial: objective(trial, job, reviews), timeout=job.limit_s, n_jobs=job.cores
    )


if __name__ == "__main__":
    main()
