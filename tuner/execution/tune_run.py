"""The one call of Ray Tune that runs a session's trials; tests have another one (tests/support/in_process.py)."""

from contextlib import nullcontext

from ray import tune

from tuner.execution.cluster import Cluster
from tuner.execution.heartbeat import Heartbeat
from tuner.execution.messages import resources_of
from tuner.execution.ray_tune import StudyScheduler, StudySearcher
from tuner.execution.task import Task
from tuner.execution.trainable import TrialActor
from tuner.execution.tune_internals import callbacks_not_counted, waiting_workers_taken
from tuner.search.session import SearchSession


def run_trials(
    session: SearchSession,
    task: Task,
    searcher: StudySearcher,
    scheduler: StudyScheduler,
    heartbeat: Heartbeat,
    cluster: Cluster,
) -> None:
    """Has Tune run trials until the searcher has no more; whatever `heartbeat` raises ends them all."""
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(TrialActor, task=task), resources_of),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: f"trial-{trial.config.get('number', trial.trial_id)}",
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(cluster.scratch / "tune"),
            verbose=0,
            callbacks=[heartbeat],
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    )
    with waiting_workers_taken() if cluster.is_ours else nullcontext(), callbacks_not_counted():
        try:
            tuner.fit()
        except tune.TuneError as error:  # so Tune wraps what is raised in `on_trial_error`
            raise session.callback_error or error from None
