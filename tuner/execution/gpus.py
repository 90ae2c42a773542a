"""Measures each kind of card of a cluster, once per study, and makes the packing of trials on them.

The measuring trains the space's largest models on a whole card, in a process of its own there; see
`tuner.training.gpu_memory`. What it found is recorded in the study, so that a resume and a confirmation pack alike.
"""

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.data import Dataset, Split
from tuner.errors import ConfigError, TunerError
from tuner.execution.cluster import Cluster
from tuner.execution.mps import ensure
from tuner.execution.packing import CardKind, Packing, Resources, kind_of
from tuner.execution.shares import trials_per_card
from tuner.machine import MEMORY_PER_TRIAL_GB
from tuner.nvidia import MpsMode, first_card
from tuner.settings.config import SearchConfig, TrainerName
from tuner.settings.hyperparameters import Hyperparameters
from tuner.text import count_text, format_duration, one_line
from tuner.training.gpu_memory import CardFigures

_POLL_S = 0.5
_QUIET_S = 3.0  # an idle card is measured soon after
# A node that an autoscaler starts takes minutes; so does a first step whose kernels the driver compiles.
_PLACE_LIMIT_S = 900.0
_MEASURE_LIMIT_S = 900.0
_LONGEST_REASON = 500
_HOW = "--gpus-per-trial 1 needs no measuring"


@dataclass(frozen=True)
class Wait:
    """How the driver waits for the measuring."""

    check: Callable[[], None]  # raises where the search was asked to end
    notify: Callable[[str], None]  # prints a line for the person
    left_s: float | None = None  # of the time budget
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Measuring:
    """What is measured, the same on every kind of card."""

    configurations: Sequence[Hyperparameters]
    n_classes: int
    longest: int  # tokens
    cpus: float
    mps: MpsMode = MpsMode.OFF

    @classmethod
    def of(cls, config: SearchConfig, dataset: Dataset) -> "Measuring":
        """The largest models of a search's space, at the length of its data."""
        space = config.space
        return cls(
            [each for architecture in space.architectures for each in space.largest(architecture)],
            len(dataset.class_names),
            int(dataset.splits[Split.TRAIN].lengths.max()),
            config.cpus_per_trial,
            config.mps,
        )

    @property
    def digest(self) -> str:
        """The same for the same measuring."""
        largest = [each.model_dump(mode="json") for each in self.configurations]
        backend = os.environ.get("KERAS_BACKEND", "")
        content = [largest, self.n_classes, self.longest, self.mps, backend]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def make_packing(
    config: SearchConfig,
    cluster: Cluster,
    dataset: Dataset,
    *,
    recorded: Mapping[str, Any],
    wait: Wait,
) -> tuple[Packing, Mapping[str, Any]]:
    """The packing of a search's trials, and what was measured for it, to be recorded in the study.

    Args:
        recorded: what an earlier session measured.

    Raises:
        ConfigError: there is no GPU, its memory is unknown, or it cannot be measured in time.
    """
    asked = config.gpus_per_trial
    # Where unknown nodes may come, the measuring waits for one.
    if asked == "auto" and not _nodes_with_gpus(cluster) and not cluster.may_get_unknown_nodes:
        raise ConfigError(
            "--gpus-per-trial auto: no GPU is seen; leave it out (`tuner doctor` shows all GPUs)"
        )
    cluster.check(config)
    if asked in (0, 1):
        return Packing(config.cpus_per_trial, asked, host_mb=_host_mb(config, dataset)), recorded
    if config.trainer is TrainerName.TOY:  # which needs no memory
        toys = [
            CardKind(kind, None, int(_cpus_per_card(kind, cluster, config)))
            for kind in kinds_of(cluster)
        ]
        return Packing(
            config.cpus_per_trial, asked, toys, host_mb=_host_mb(config, dataset)
        ), recorded
    measuring = Measuring.of(config, dataset)
    figures = _recorded_figures(recorded, measuring, cluster)
    missing = [kind for kind in kinds_of(cluster) if kind not in figures]
    if missing:
        figures |= measure(missing, measuring, cluster, wait)
    host_mb = _host_mb(config, dataset, max(each.host_mb for each in figures.values()))
    kinds = [
        CardKind(kind, each, _most(kind, each, cluster, config, host_mb))
        for kind, each in figures.items()
    ]
    content = {
        "of": measuring.digest,
        "kinds": {kind or "": vars(each) for kind, each in figures.items()},
    }
    return Packing(config.cpus_per_trial, asked, kinds, host_mb=host_mb), content


def note_on_idle_gpus(config: SearchConfig, cluster: Cluster) -> str | None:
    """What a person should know whose GPUs no trial will use; None where there are none, or trials use them."""
    nodes = _nodes_with_gpus(cluster)
    if config.gpus_per_trial != 0 or config.trainer is TrainerName.TOY or not nodes:
        return None
    gpus = count_text(int(sum(node["GPU"] for node in nodes)), "GPU")
    where = gpus if nodes[0] in cluster.nodes else "nodes with GPUs that may be started"
    return f"no trial will use a GPU ({where}): gpus_per_trial is 0; write --gpus-per-trial auto"


def kinds_of(cluster: Cluster) -> list[str | None]:
    """The kinds of cards that live in the cluster; before any has come, those that an autoscaler may start.

    Raises:
        ConfigError: one of several is unknown, so that a trial cannot be sent there.
    """
    kinds = list(dict.fromkeys(kind_of(node) for node in _nodes_with_gpus(cluster))) or [None]
    if len(kinds) > 1 and None in kinds:
        raise ConfigError(
            f"--gpus-per-trial: beside {next(filter(None, kinds))} there are cards whose kind Ray does not know "
            f"(its resource accelerator_type:…), so that trials cannot be packed for each; {_HOW}"
        )
    return kinds


def _host_mb(config: SearchConfig, dataset: Dataset, measured_mb: float = 0.0) -> float:
    """Memory of the machine that a trial's process takes, its copy of the data with it."""
    own = max(measured_mb, MEMORY_PER_TRIAL_GB * 1e9 / 2**20)
    if config.trainer is TrainerName.TOY:
        return own
    copied = (dataset.splits[split].tokens.nbytes for split in (Split.TRAIN, Split.VALIDATION))
    return own + 2 * sum(copied) / 2**20  # while it is cut to the trial's length there are two


def measure(
    kinds: Sequence[str | None], measuring: Measuring, cluster: Cluster, wait: Wait
) -> dict[str | None, CardFigures]:
    """The figures of each kind of card, measured at the same time.

    Raises:
        ConfigError: no card became free in time, or the measuring failed.
    """
    ray = cluster.ray
    # Where none has been started yet, this makes the autoscaler start one.
    is_named = len({*kinds, *kinds_of(cluster)}) > 1
    probes = [_start_probe(ray, kind, measuring, is_named=is_named) for kind in kinds]
    try:
        _wait_for(ray, probes, wait)
        # Their processes end by themselves with the last reference to them: MPS does not like clients that are killed.
        return {probe.kind: ray.get(probe.figures) for probe in probes}
    except BaseException as error:
        for probe in probes:
            ray.kill(probe.actor)
        if isinstance(error, ray.exceptions.RayError):
            raise ConfigError(f"--gpus-per-trial: {_reason(ray, error)}; {_HOW}") from error
        raise


def _reason(ray: Any, error: Exception) -> str:
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, TunerError) else error
        return f"the largest models cannot be measured: {one_line(str(cause))[:_LONGEST_REASON]}"
    return f"the process that measured the largest models died: {one_line(str(error))[:_LONGEST_REASON]}"


class Probe:
    """The process that measures; an actor of Ray's, so that its place is known before it answers."""

    def host(self) -> str:
        """The host that it was given a card on."""
        return socket.gethostname()

    def measure(self, measuring: Measuring) -> CardFigures:
        """The figures of its card."""
        from tuner.training.gpu_memory import measure_training

        return measure_training(
            measuring.configurations,
            n_classes=measuring.n_classes,
            longest=measuring.longest,
            cpus=measuring.cpus,
            has_mps=ensure(measuring.mps).is_running,
        )


@dataclass(frozen=True)
class _RunningProbe:
    kind: str | None
    actor: Any
    host: Any  # Ray's reference to it
    figures: Any  # the same

    @property
    def card(self) -> str:
        return self.kind or "GPU"


def _start_probe(
    ray: Any, kind: str | None, measuring: Measuring, *, is_named: bool
) -> _RunningProbe:
    resources = {f"accelerator_type:{kind}": 0.001} if is_named else {}
    remote = ray.remote(num_cpus=measuring.cpus, num_gpus=1, resources=resources)(Probe)
    actor = remote.remote()
    return _RunningProbe(kind, actor, actor.host.remote(), actor.measure.remote(measuring))


def _wait_for(ray: Any, probes: Sequence[_RunningProbe], wait: Wait) -> None:
    """Waits until all have answered, or one has failed."""
    began = wait.clock()
    placed_at: dict[_RunningProbe, float] = {}
    is_told = False
    waited_for = [probe.figures for probe in probes]
    while waited_for:
        done, waited_for = ray.wait(waited_for, timeout=_POLL_S)
        ray.get(done)  # raises where it failed
        wait.check()
        now = wait.clock()
        for probe in probes:
            if probe not in placed_at and ray.wait([probe.host], timeout=0)[0]:
                placed_at[probe] = now
        if not waited_for:
            return
        left = [probe for probe in probes if probe.figures in waited_for]
        if not is_told and now - began >= _QUIET_S:
            is_told = True
            wait.notify(_what_is_measured(ray, left, placed_at))
        _check_time(ray, left, placed_at, began, now, wait)


def _what_is_measured(
    ray: Any, left: Sequence[_RunningProbe], placed_at: Mapping[_RunningProbe, float]
) -> str:
    parts = [
        f"on a {probe.card} of {ray.get(probe.host)}"
        if probe in placed_at
        else f"once a {probe.card} is free"
        for probe in left
    ]
    return f"tuner: measuring the GPU memory of the space's largest models {', '.join(parts)}"


def _check_time(
    ray: Any,
    left: Sequence[_RunningProbe],
    placed_at: Mapping[_RunningProbe, float],
    began: float,
    now: float,
    wait: Wait,
) -> None:
    for probe in left:
        is_placed = probe in placed_at
        since = placed_at.get(probe, began)
        limit_s = _MEASURE_LIMIT_S if is_placed else _PLACE_LIMIT_S
        is_out_of_budget = wait.left_s is not None and now - began >= wait.left_s
        if now - since < limit_s and not is_out_of_budget:
            continue
        if is_placed:
            problem = f"measuring the largest models on a {probe.card} of {ray.get(probe.host)} did not end"
            advice = "`nvidia-smi` there shows whether its driver answers"
        else:
            problem = f"no whole {probe.card} became free to measure the largest models on"
            advice = "`ray status` shows who holds them"
        within = (
            f"within the time budget of {format_duration(now - began)}"
            if is_out_of_budget
            else f"within {format_duration(limit_s)}"
        )
        raise ConfigError(f"--gpus-per-trial: {problem} {within}; {advice}, and {_HOW}")


def _nodes_with_gpus(cluster: Cluster) -> list[Resources]:
    """The nodes with whole cards; before any has come, those that an autoscaler may start."""
    present = [node for node in cluster.nodes if node.get("GPU", 0.0) >= 1]
    return present or [node for node in cluster.expected if node.get("GPU", 0.0) >= 1]


def _recorded_figures(
    recorded: Mapping[str, Any], measuring: Measuring, cluster: Cluster
) -> dict[str | None, CardFigures]:
    """Those of kinds that are still there, as far as the same was measured."""
    if recorded.get("of") != measuring.digest:
        return {}
    there = kinds_of(cluster)
    figures = {
        name or None: CardFigures(**each) for name, each in recorded.get("kinds", {}).items()
    }
    # Of an unnamed kind only this machine's own driver can tell whether it is the same card.
    own = first_card(os.environ) if cluster.is_ours else None
    return {
        kind: each
        for kind, each in figures.items()
        if kind in there and (own.name == each.card if own is not None else kind is not None)
    }


def _most(
    kind: str | None, figures: CardFigures, cluster: Cluster, config: SearchConfig, host_mb: float
) -> int:
    """Trials per card of a kind, by its memory and its nodes' CPUs and memory."""
    cards = max((node["GPU"] for node in _nodes_of(kind, cluster)), default=1.0)
    return trials_per_card(
        figures,
        cpus=_cpus_per_card(kind, cluster, config),
        host_mb=figures.host_free_mb / cards,
        host_mb_per_trial=host_mb,
    )


def _cpus_per_card(kind: str | None, cluster: Cluster, config: SearchConfig) -> float:
    """Trials that the CPUs per card can feed, on the node that has most of them; on others Ray starts fewer."""
    nodes = _nodes_of(kind, cluster)
    trials = (node.get("CPU", 0.0) / node["GPU"] / config.cpus_per_trial for node in nodes)
    return max(trials, default=1.0)


def _nodes_of(kind: str | None, cluster: Cluster) -> list[Resources]:
    return [node for node in _nodes_with_gpus(cluster) if kind is None or kind_of(node) == kind]
