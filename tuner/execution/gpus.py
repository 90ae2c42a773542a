"""Makes the packing of trials on the GPUs of a cluster, by what was measured on each kind of GPU.

What `tuner.execution.probe` found is recorded in the study, so that a resume and a confirmation pack alike.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tuner.data import Dataset, Split
from tuner.errors import ConfigError
from tuner.execution.cluster import Cluster
from tuner.execution.mps import mps_state
from tuner.execution.packing import GpuKind, Packing, Resources, kind_of
from tuner.execution.probe import HOW_WITHOUT, Measuring, Wait, measure
from tuner.execution.shares import trials_per_gpu
from tuner.machine import MEMORY_PER_TRIAL_GB, keras_backend, memory
from tuner.nvidia import Gpu, MpsMode, are_alike, ask_driver, visible_gpus
from tuner.settings.config import SearchConfig, TrainerName
from tuner.text import count_text
from tuner.training.gpu_memory import GpuFigures
from tuner.training.gpus_of_machine import finds_cuda


def make_packing(
    config: SearchConfig,
    cluster: Cluster,
    dataset: Dataset,
    *,
    recorded: Sequence[Mapping[str, Any]],
    wait: Wait,
) -> tuple[Packing, Mapping[str, Any]]:
    """The packing of a search's trials, and what was measured for it, to be recorded in the study.

    Args:
        recorded: what earlier sessions measured, for the search or for its confirmation.

    Raises:
        ConfigError: there is no GPU, its memory is unknown, or it cannot be measured in time.
        TimeIsUp: the time budget ended while it was measured.
    """
    asked = config.asked_gpus
    # Where unknown nodes may come, the measuring waits for one.
    if asked == "auto" and not _nodes_with_gpus(cluster) and not cluster.may_get_unknown_nodes:
        raise ConfigError(
            "--gpus-per-trial auto: no GPU is seen (`tuner doctor` shows all GPUs); --gpus-per-trial 0 trains on CPUs"
        )
    cluster.check(config)
    if asked in (0, 1):
        return Packing(config.cpus_per_trial, asked, host_mb=_host_mb(config, dataset)), {}
    if config.trainer is TrainerName.TOY:  # which needs no memory
        toys = [
            GpuKind(kind, None, int(_cpus_per_gpu(kind, cluster, config)))
            for kind in kinds_of(cluster)
        ]
        return Packing(config.cpus_per_trial, asked, toys, host_mb=_host_mb(config, dataset)), {}
    measuring = Measuring.of(config, dataset)
    known = _recorded_figures(recorded, measuring)
    there = kinds_of(cluster)
    gpus = _own_gpus() if cluster.is_ours else ()
    figures = _figures_now(
        {kind: known[kind] for kind in there if kind in known}, gpus, measuring.mps
    )
    missing = [kind for kind in there if kind not in figures]
    if missing:
        measured = measure(cluster.ray, missing, measuring, wait, is_named=len(there) > 1)
        figures |= {kind: _on_fullest(each, gpus) for kind, each in measured.items()}
        known |= measured
    host_mb = _host_mb(config, dataset, max(each.host_mb for each in figures.values()))
    most = {kind: _most(kind, each, cluster, config, host_mb) for kind, each in figures.items()}
    if len(most) == 1 and (wanted := _wanted(config)) is not None:
        # Few trials are spread over all GPUs, with more of each.
        n_gpus = max(1, int(sum(node["GPU"] for node in _nodes_with_gpus(cluster))))
        most = {kind: min(each, math.ceil(wanted / n_gpus)) for kind, each in most.items()}
    kinds = [GpuKind(kind, each, most[kind]) for kind, each in figures.items()]
    content = {
        "of": measuring.digest,
        "kinds": {kind or "": vars(each) for kind, each in known.items()},
    }
    return Packing(config.cpus_per_trial, asked, kinds, host_mb=host_mb), content


def note_on_idle_gpus(config: SearchConfig, cluster: Cluster) -> str | None:
    """What a person should know who has said nothing of GPUs, and none of theirs is used; else None."""
    nodes = _nodes_with_gpus(cluster)
    if config.gpus_per_trial is not None or config.trainer is TrainerName.TOY or not nodes:
        return None
    gpus = count_text(int(sum(node["GPU"] for node in nodes)), "GPU")
    where = gpus if nodes[0] in cluster.nodes else "nodes with GPUs that may be started"
    if cluster.is_ours and keras_backend()[0] == "tensorflow" and not finds_cuda():
        advice = "TensorFlow does not find CUDA's libraries here; `tuner doctor` says how to install them"
    else:
        advice = "write --gpus-per-trial auto to use them, or 0"
    return f"no trial will use a GPU ({where}): {advice}"


def kinds_of(cluster: Cluster) -> list[str | None]:
    """The kinds of GPUs that live in the cluster; before any has come, those that an autoscaler may start.

    Raises:
        ConfigError: one of several is unknown, so that a trial cannot be sent there.
    """
    kinds = list(dict.fromkeys(kind_of(node) for node in _nodes_with_gpus(cluster))) or [None]
    if len(kinds) > 1 and None in kinds:
        raise ConfigError(
            f"--gpus-per-trial: beside {next(filter(None, kinds))} there are GPUs whose kind Ray does not know "
            f"(its resource accelerator_type:…), so that trials cannot be packed for each; {HOW_WITHOUT}"
        )
    return kinds


def _host_mb(config: SearchConfig, dataset: Dataset, measured_mb: float = 0.0) -> float:
    """Memory of the machine that a trial's process takes, its copy of the data with it."""
    own = max(measured_mb, MEMORY_PER_TRIAL_GB * 1e9 / 2**20)
    if config.trainer is TrainerName.TOY:
        return own
    space = config.space
    largest = (each for name in space.architectures for each in space.largest(name))
    longest = max(each.max_length for each in largest)
    copied = 0.0
    for split in (Split.TRAIN, Split.VALIDATION):
        sequences = dataset.splits[split]
        copied += float(np.minimum(sequences.lengths, longest).sum()) * sequences.tokens.itemsize
    return own + 2 * copied / 2**20  # while its batches are made there are two


def _nodes_with_gpus(cluster: Cluster) -> list[Resources]:
    """The nodes with whole GPUs; before any has come, those that an autoscaler may start."""
    present = [node for node in cluster.nodes if node.get("GPU", 0.0) >= 1]
    return present or [node for node in cluster.expected if node.get("GPU", 0.0) >= 1]


def _recorded_figures(
    recorded: Sequence[Mapping[str, Any]], measuring: Measuring
) -> dict[str | None, GpuFigures]:
    """Those of all kinds of GPUs that the same was measured on."""
    return {
        name or None: GpuFigures(**_as_recorded_now(each))
        for content in recorded
        if content.get("of") == measuring.digest
        for name, each in content["kinds"].items()
    }


def _as_recorded_now(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as a study has them; earlier versions called the GPU a card."""
    return {"gpu" if name == "card" else name: each for name, each in figures.items()}


def _own_gpus() -> Sequence[Gpu]:
    """This machine's GPUs of known memory, all alike: Ray counts them, and does not tell one from the other.

    Raises:
        ConfigError: they are not alike, so that one share cannot be right on all.
    """
    driver = ask_driver()
    visible = visible_gpus(driver, os.environ) if driver is not None else ()
    gpus = [gpu for gpu in visible if gpu.total_mb is not None and gpu.free_mb is not None]
    for gpu in gpus:
        if not are_alike([gpus[0], gpu]):
            raise ConfigError(
                f"--gpus-per-trial: {gpus[0].name} ({gpus[0].total_mb} MB) and {gpu.name} ({gpu.total_mb} MB) "
                "cannot be shared alike; choose one kind through CUDA_VISIBLE_DEVICES (`tuner doctor` shows the "
                f"numbers of all), or write --gpus-per-trial 1"
            )
    return gpus


def _figures_now(
    figures: Mapping[str | None, GpuFigures], gpus: Sequence[Gpu], mps: MpsMode
) -> dict[str | None, GpuFigures]:
    """The figures of GPUs that are known to be the same; on this machine with what is free there now.

    Args:
        gpus: this machine's, where trials run on no other.
    """
    if not gpus:  # only a driver can tell the GPU of an unnamed kind
        return {kind: each for kind, each in figures.items() if kind is not None}
    state = mps_state()
    has_mps = mps is not MpsMode.OFF and (state.is_running or not state.reason)
    free_mb, host_free_mb = _least_free_mb(gpus), memory().available // 2**20
    return {
        kind: replace(each, free_mb=free_mb, host_free_mb=host_free_mb)
        for kind, each in figures.items()
        if each.gpu == gpus[0].name and each.has_mps == has_mps
    }


def _on_fullest(figures: GpuFigures, gpus: Sequence[Gpu]) -> GpuFigures:
    """What was measured on one GPU, for the one of this machine of which others hold most."""
    return replace(figures, free_mb=min(figures.free_mb, _least_free_mb(gpus))) if gpus else figures


def _least_free_mb(gpus: Sequence[Gpu]) -> int:
    return min(gpu.free_mb for gpu in gpus if gpu.free_mb is not None)


def _wanted(config: SearchConfig) -> int | None:
    """Trials that are wanted at once; None for as many as there is room for."""
    limits = [each for each in (config.max_concurrent, config.trial_budget) if each is not None]
    return min(limits, default=None)


def _most(
    kind: str | None, figures: GpuFigures, cluster: Cluster, config: SearchConfig, host_mb: float
) -> int:
    """Trials per GPU of a kind, by its memory and its nodes' CPUs and memory."""
    gpus = max((node["GPU"] for node in _nodes_of(kind, cluster)), default=1.0)
    return trials_per_gpu(
        figures,
        cpus=_cpus_per_gpu(kind, cluster, config),
        host_mb=figures.host_free_mb / gpus,
        host_mb_per_trial=host_mb,
    )


def _cpus_per_gpu(kind: str | None, cluster: Cluster, config: SearchConfig) -> float:
    """Trials that the CPUs per GPU can feed, on the node that has most of them; on others Ray starts fewer."""
    nodes = _nodes_of(kind, cluster)
    trials = (node.get("CPU", 0.0) / node["GPU"] / config.cpus_per_trial for node in nodes)
    return max(trials, default=1.0)


def _nodes_of(kind: str | None, cluster: Cluster) -> list[Resources]:
    return [node for node in _nodes_with_gpus(cluster) if kind is None or kind_of(node) == kind]
