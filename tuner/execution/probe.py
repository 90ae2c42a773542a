"""Measures a kind of GPU: an actor of Ray's trains on it, at `auto` the space's largest models on a whole one.

See `tuner.training.gpu_memory` for what it measures there. The driver waits for it, and can end it.
"""

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tuner.data import Dataset, Split
from tuner.errors import ConfigError, TunerError
from tuner.execution.interrupts import TimeIsUp
from tuner.execution.mps import ensure
from tuner.execution.packing import kind_of
from tuner.execution.ray_errors import DeathText
from tuner.nvidia import MpsMode
from tuner.settings.config import SearchConfig
from tuner.settings.hyperparameters import Hyperparameters, resolve
from tuner.text import format_duration, short_reason
from tuner.training.gpu_memory import GpuFigures
from tuner.training.own_modules import folders_for, make_importable, name_modules_of

_POLL_S = 0.5
_QUIET_S = 3.0  # an idle GPU is measured soon after
# A node that an autoscaler starts takes minutes; so does a first step whose kernels the driver compiles.
_PLACE_LIMIT_S = 900.0
_MEASURE_LIMIT_S = 900.0
HOW_WITHOUT = "--gpus-per-trial 1 needs no measuring, 0 no GPU"


@dataclass(frozen=True)
class Wait:
    """How the driver waits for the measuring."""

    check: Callable[[], None]  # raises where the search was asked to end
    notify: Callable[[str], None]  # prints a line for the person
    left_s: float | None = None  # of the time budget
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class Measuring:
    """What is measured, the same on every kind of GPU."""

    configurations: Sequence[Hyperparameters]
    n_classes: int
    longest: int  # tokens
    cpus: float
    mps: MpsMode = MpsMode.OFF
    gpus: float = 1.0  # the part of a GPU that is needed for it
    folders: tuple[str, ...] = ()  # of a person's own modules

    @classmethod
    def of(cls, config: SearchConfig, dataset: Dataset) -> "Measuring":
        """The largest models of a search's space, at the length of its data.

        Where the share is given only the context is asked for: any model that uses cuDNN shows it, in such a share.
        """
        space, asked = config.space, config.asked_gpus
        largest = [each for name in space.architectures for each in space.largest(name)]
        return cls(
            largest if asked == "auto" else [resolve("lstm", {})],
            len(dataset.class_names),
            int(dataset.splits[Split.TRAIN].lengths.max()),
            config.cpus_per_trial,
            config.mps,
            1.0 if asked == "auto" else asked,
            folders_for(space.architectures),
        )

    @property
    def digest(self) -> str:
        """The same for the same measuring."""
        largest = [each.model_dump(mode="json") for each in self.configurations]
        backend = os.environ.get("KERAS_BACKEND", "")
        content = [largest, self.n_classes, self.longest, self.mps, backend]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def measure(
    ray: Any,
    kinds: Sequence[str | None],
    measuring: Measuring,
    wait: Wait,
    *,
    is_named: bool = False,
    is_second: bool = False,
) -> dict[str | None, GpuFigures]:
    """The figures of each kind of GPU, measured at the same time; of an unnamed one by the name that Ray gives it.

    Args:
        is_named: whether Ray has GPUs of other kinds, too.
        is_second: whether a node has died during the first try.

    Raises:
        ConfigError: no GPU became free in time, or the measuring failed.
        TimeIsUp: the time budget is used up.
    """
    began = wait.clock()
    # Where none has been started yet, this makes the autoscaler start one.
    probes = [_start_probe(ray, kind, measuring, is_named=is_named) for kind in kinds]
    try:
        _wait_for(ray, probes, wait)
        # Their processes end by themselves with the last reference to them: MPS does not like clients that are killed.
        return {probe.kind or _kind_there(ray, probe): ray.get(probe.figures) for probe in probes}
    except BaseException as error:
        for probe in probes:
            ray.kill(probe.actor)
        if isinstance(error, ray.exceptions.RayError):
            if DeathText.NODE_DIED in str(error) and not is_second:
                left_s = None if wait.left_s is None else wait.left_s - (wait.clock() - began)
                rest = replace(wait, left_s=left_s)
                return measure(ray, kinds, measuring, rest, is_named=is_named, is_second=True)
            raise ConfigError(f"--gpus-per-trial: {_reason(ray, error)}; {HOW_WITHOUT}") from error
        raise


def _reason(ray: Any, error: Exception) -> str:
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, TunerError) else error
        return f"the largest models cannot be measured: {short_reason(cause, most=500)}"
    return f"the process that measured the largest models died: {short_reason(error, most=500)}"


class Probe:
    """The process that measures; an actor of Ray's, so that its place is known before it answers."""

    def place(self) -> tuple[str, str]:
        """The host that it was given a GPU on, and Ray's id of that node."""
        import ray

        return socket.gethostname(), str(ray.get_runtime_context().get_node_id())

    def measure(self, measuring: Measuring) -> GpuFigures:
        """The figures of its GPU."""
        from tuner.training.gpu_memory import measure_training

        make_importable(measuring.folders)
        name_modules_of(each.architecture for each in measuring.configurations)  # as the driver did
        return measure_training(
            measuring.configurations,
            n_classes=measuring.n_classes,
            longest=measuring.longest,
            cpus=measuring.cpus,
            gpus=measuring.gpus,
            has_mps=ensure(measuring.mps).is_running,
        )


@dataclass(frozen=True)
class _RunningProbe:
    kind: str | None
    actor: Any
    place: Any  # Ray's reference to it
    figures: Any  # the same

    gpus: float

    @property
    def gpu(self) -> str:
        return self.kind or "GPU"


def _start_probe(
    ray: Any, kind: str | None, measuring: Measuring, *, is_named: bool
) -> _RunningProbe:
    resources = {f"accelerator_type:{kind}": 0.001} if is_named else {}
    remote = ray.remote(num_cpus=measuring.cpus, num_gpus=measuring.gpus, resources=resources)(
        Probe
    )
    actor = remote.remote()
    place, figures = actor.place.remote(), actor.measure.remote(measuring)
    return _RunningProbe(kind, actor, place, figures, measuring.gpus)


def _kind_there(ray: Any, probe: _RunningProbe) -> str | None:
    """The kind of the GPU that was measured; a node of another kind may have come with it."""
    _, node_id = ray.get(probe.place)
    there = (node["Resources"] for node in ray.nodes() if node["NodeID"] == node_id)
    return next(map(kind_of, there), None)


def _host_of(ray: Any, probe: _RunningProbe) -> str:
    host, _ = ray.get(probe.place)
    return str(host)


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
            if probe not in placed_at and ray.wait([probe.place], timeout=0)[0]:
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
        f"on a {probe.gpu} of {_host_of(ray, probe)}"
        if probe in placed_at
        else f"once a {probe.gpu} is free"
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
    if wait.left_s is not None and now - began >= wait.left_s:
        raise TimeIsUp
    for probe in left:
        is_placed = probe in placed_at
        since = placed_at.get(probe, began)
        limit_s = _MEASURE_LIMIT_S if is_placed else _PLACE_LIMIT_S
        if now - since < limit_s:
            continue
        if is_placed:
            problem = f"measuring the largest models on a {probe.gpu} of {_host_of(ray, probe)} did not end"
            advice = "`nvidia-smi` there shows whether its driver answers"
        else:
            part = "no whole" if probe.gpus == 1 else f"no {probe.gpus:g} of a"
            problem = f"{part} {probe.gpu} became free to measure models on"
            advice = "`ray status` shows who holds them"
        raise ConfigError(
            f"--gpus-per-trial: {problem} within {format_duration(limit_s)}; {advice}, and {HOW_WITHOUT}"
        )
