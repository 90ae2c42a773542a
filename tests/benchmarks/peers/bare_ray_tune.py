"""Peer: a Ray Tune script as its documentation teaches it.

A function trainable, `OptunaSearch` with a define-by-run space (from `optuna_define_by_run_example.py`), ASHA,
Ray's own Keras callback (from `tune_mnist_keras.py`), the data by `with_parameters`, one CPU per trial. Everything
else is Ray's default.
"""

from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from task import MAX_EPOCHS, Job, Reviews, build, fit, load_reviews, suggest

METRIC = {"metric": "val_accuracy", "mode": "max"}


def space(trial: Any) -> None:
    """Suggests to the trial; Ray collects the suggestions."""
    suggest(trial)


def train(config: dict[str, Any], *, job: Job, reviews: tuple[Reviews, Reviews]) -> None:
    """One trial."""
    import keras
    from ray.tune.integration.keras import TuneReportCheckpointCallback

    keras.utils.set_random_seed(job.seed)
    trial = tune.get_context().get_trial_id()
    reports = TuneReportCheckpointCallback(metrics=["val_accuracy"], checkpoint_on=[])
    fit(build(config), config, reviews, [job.keeps_incumbents(trial, config), reports])


def main() -> None:
    """Searches until it is ended."""
    job = Job.from_command_line()
    trainable = tune.with_parameters(train, job=job, reviews=load_reviews(job.data))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            **METRIC,
            search_alg=OptunaSearch(space, **METRIC, seed=job.seed),
            scheduler=ASHAScheduler(max_t=MAX_EPOCHS, grace_period=1, reduction_factor=3),
            num_samples=-1,
            max_concurrent_trials=job.cores,
        ),
        run_config=tune.RunConfig(storage_path=str(Path(job.scratch).resolve())),
    )
    tuner.fit()


if __name__ == "__main__":
    main()
