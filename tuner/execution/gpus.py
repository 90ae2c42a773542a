"""`--gpus-per-trial auto`: measures the GPU memory of the space's largest models, and packs as many trials as fit."""

import math
from collections.abc import Mapping, Sequence

from tuner.data import Dataset, Split
from tuner.errors import ConfigError
from tuner.execution.cluster import Cluster
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import Hyperparameters

_CONTEXT_MB = 600  # of a process on a GPU, beside the memory that its backend counts
_MARGIN = 1.25  # for the gaps between an allocator's blocks


def with_measured_share(config: SearchConfig, cluster: Cluster, dataset: Dataset) -> SearchConfig:
    """`config` with a number in place of `auto`.

    Raises:
        ConfigError: there is no GPU, or its memory is unknown.
    """
    if config.gpus_per_trial != "auto":
        return config
    # Where none has been started yet, the measuring makes the autoscaler start one.
    nodes = [node for node in (*cluster.nodes, *cluster.expected) if node.get("GPU", 0.0) >= 1]
    if not nodes:
        raise ConfigError(
            "--gpus-per-trial auto: no GPU is seen; leave it out (`tuner doctor` shows all GPUs)"
        )
    longest = int(dataset.splits[Split.TRAIN].lengths.max())
    peak_mb, total_mb = _measure(
        [config.space.largest(architecture) for architecture in config.space.architectures],
        cluster,
        n_classes=len(dataset.class_names),
        longest=longest,
        cpus=config.cpus_per_trial,
    )
    by_memory = trials_that_fit(peak_mb, total_mb)
    by_cpus = _trials_by_cpus(nodes, config.cpus_per_trial)
    return config.model_copy(update={"gpus_per_trial": share_of_one_gpu(min(by_memory, by_cpus))})


def trials_that_fit(peak_mb: float, total_mb: float) -> int:
    """Trials of at most `peak_mb` that one GPU of `total_mb` holds; one even where the measured trial filled it."""
    return max(1, int(total_mb / (peak_mb * _MARGIN + _CONTEXT_MB)))


def share_of_one_gpu(trials: int) -> float:
    """The share of each of so many trials, rounded down to four decimals, which is all that Ray keeps."""
    return math.floor(10_000 / trials) / 10_000


def _trials_by_cpus(nodes: Sequence[Mapping[str, float]], cpus_per_trial: float) -> int:
    """Trials that the CPUs per GPU can feed, on the node that has most of them."""
    return max(1, *(int(node.get("CPU", 0.0) / node["GPU"] / cpus_per_trial) for node in nodes))


def _measure(
    largest: Sequence[Hyperparameters],
    cluster: Cluster,
    *,
    n_classes: int,
    longest: int,
    cpus: float,
) -> tuple[float, float]:
    """The largest memory of a configuration and the smallest of a GPU, in MB; each measured in its own process."""
    from tuner.training.gpu_memory import measure_training

    ray = cluster.ray
    # One call per process: a backend frees GPU memory only when its process ends.
    measure = ray.remote(num_cpus=cpus, num_gpus=1, max_calls=1, max_retries=0)(measure_training)
    asked = [
        measure.remote(hyperparameters, n_classes=n_classes, longest=longest, cpus=cpus)
        for hyperparameters in largest
    ]
    try:
        figures = [figure for figure in ray.get(asked) if figure is not None]
    except ray.exceptions.RayError as cause:
        raise ConfigError(
            f"--gpus-per-trial auto: the largest model cannot be measured: {cause}; write a number"
        ) from cause
    if not figures:
        raise ConfigError(
            "--gpus-per-trial auto: neither NVIDIA's driver nor Keras' backend reports the GPU's memory; write a number"
        )
    return max(peak for peak, _ in figures), min(total for _, total in figures)
