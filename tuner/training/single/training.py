"""Trains one configuration in this process, as a search's worker would."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tuner.data import Dataset, Split, load_dataset
from tuner.data.rotation import rotated
from tuner.data.vectors import digest_of
from tuner.errors import ConfigError, DataError, TrialError
from tuner.output import output_to
from tuner.run.device import CPU
from tuner.run.trial_status import TrialStatus
from tuner.settings.hyperparameters import is_custom
from tuner.text import one_line
from tuner.training.custom import check_importable
from tuner.training.devices import import_keras_quietly
from tuner.training.failures import status_of
from tuner.training.single.configurations import Configuration
from tuner.training.spec import EpochResult, TrainedModel


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    status: TrialStatus
    epochs: tuple[EpochResult, ...]
    best: EpochResult | None  # by the metric; None where no epoch ended
    device: str | None  # None where the model could not be built
    error: str | None = None
    model: TrainedModel | None = None  # of the best epoch, where it was requested


def load_data(configuration: Configuration) -> Dataset:
    """The data that the configuration learns from; of a row, with the rows that validated it.

    Raises:
        DataError: it cannot be read, or it or its word vectors are not what the row's run learned from.
    """
    dataset = load_dataset(configuration.data)
    row, vectors = configuration.row, configuration.data.vectors
    if row is not None and row.fingerprint != dataset.fingerprint:
        raise DataError(
            f"{configuration.data.source}: differs from the data that {row.run} learned from; bring the old rows back, "
            "or search again under another --name"
        )
    if row is not None and vectors is not None and row.vectors != digest_of(vectors):
        raise DataError(
            f"{vectors}: other word vectors than those that {row.run} learned with; bring these back, or search again "
            "under another --name"
        )
    return rotated(dataset, configuration.spec.part)


def prepare(configurations: Sequence[Configuration], *, may_run_already: bool = False) -> None:
    """Makes this process ready to train; all configurations have one share of the machine.

    Args:
        may_run_already: whether a process that has a share already, as a notebook has, keeps that one.

    Raises:
        SpaceError: an architecture of the user's own cannot be found.
        ConfigError: this process was prepared for another share, or Keras' backend sees no GPU and one was asked for.
    """
    from tuner.training.devices import configure_device, device_name

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with output_to(Path(os.devnull)):  # TensorFlow's messages about this machine are of no use here
        try:
            configure_device(cpus=configurations[0].cpus, gpus=configurations[0].gpus)
        except ConfigError:
            if not may_run_already:
                raise
    import_keras_quietly()
    is_asked = any(each.gpus and each.are_gpus_asked for each in configurations)
    if is_asked and device_name(cudnn=True) == CPU:
        raise ConfigError(_no_gpu(configurations[0]))
    for configuration in configurations:  # whose modules load Keras, too
        if is_custom(configuration.spec.hyperparameters.architecture):
            check_importable(configuration.spec.hyperparameters.architecture)


def _no_gpu(configuration: Configuration) -> str:
    whose = "" if configuration.row is None else f" (as in {configuration.row.run})"
    return (
        f"--gpus {configuration.gpus:g}{whose}: Keras' backend sees no GPU here, `tuner doctor` shows all GPUs; "
        "--gpus 0 trains on the CPU"
    )


def train(
    configuration: Configuration,
    dataset: Dataset,
    on_epoch: Callable[[EpochResult], None],
    *,
    keep_model: bool = False,
) -> Trained:
    """Trains it, after `prepare`; the result of a training that breaks has a status and an error, as in a search."""
    from tuner.training.loading import check_loads_again
    from tuner.training.trial import Training

    done: list[EpochResult] = []
    training = None
    status, error, model = TrialStatus.COMPLETE, None, None
    try:
        training = Training(
            configuration.spec,
            train=dataset.splits[Split.TRAIN],
            validation=dataset.splits[Split.VALIDATION],
            n_classes=len(dataset.class_names),
            keep_best=configuration.metric,
            vectors=dataset.vectors,
        )
        if keep_model and is_custom(configuration.spec.hyperparameters.architecture):
            check_loads_again(training.model)  # not after hours of training
        # Not the spec's `stop_after`: that would have the last epoch's model be the best.
        for result in islice(training.epochs(), configuration.epochs):
            done.append(result)
            on_epoch(result)
        if keep_model:
            model = training.finish(dataset.splits[Split.VALIDATION])
    except TrialError as problem:
        status, error = status_of(problem), one_line(str(problem))
    metric = configuration.metric
    values = {result.epoch: getattr(result, metric.name) for result in done}
    return Trained(
        status=status,
        epochs=tuple(done),
        best=done[metric.best_epoch(values) - 1] if done else None,
        device=training.device if training is not None else None,
        error=error,
        model=model,
    )
