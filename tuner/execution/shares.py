"""The part of a GPU that each trial has, and the memory in it: plain arithmetic.

One formula decides all of it: a process takes its backend's memory, up to a limit, and a context beside that (CUDA's,
cuDNN's and cuBLAS' own), which no limit counts. Both are measured on the GPU, see `tuner.execution.gpus`. Must not
import Ray.
"""

import math
from dataclasses import dataclass

from tuner.errors import ConfigError
from tuner.training.gpu_memory import GpuFigures

# A limit over the measured peak, for the gaps between an allocator's blocks.
_MARGIN = 1.25
_MARGIN_MB = 256
# Of a GPU, left to nobody: contexts grow a little, and MPS has a process of its own there.
_SPARE = 0.05
_LEAST_SPARE_MB = 500.0
MOST_CLIENTS_OF_MPS = 48  # its own limit on current GPUs
# Without MPS, processes take turns on a GPU: more of them than this are no faster together.
MOST_WITHOUT_MPS = 4
_LEAST_LIMIT_MB = 64  # no model trains in less
_ROUNDING = 1e-9  # a third of a GPU, three times, is one


@dataclass(frozen=True)
class Share:
    """The part of a GPU that each trial has."""

    gpus: float  # as Ray counts: 0 without a GPU, 1 of a whole one
    limit_mb: int | None = None  # of the backend's memory; None where it takes what it needs

    @property
    def is_part(self) -> bool:
        """Whether others may share the GPU."""
        return 0 < self.gpus < 1

    def fit_on(self, gpus: float) -> int:
        """How many fit on a node's GPUs. The parts of a trial all come from one GPU."""
        if self.gpus >= 1:
            return int(gpus / self.gpus + _ROUNDING)
        whole, rest = divmod(gpus, 1)
        per_gpu, on_rest = int(1 / self.gpus + _ROUNDING), int(rest / self.gpus + _ROUNDING)
        return int(whole) * per_gpu + on_rest


def usable_mb(figures: GpuFigures) -> float:
    """Memory of a GPU for trials: what nobody else holds, less something to spare."""
    return figures.free_mb - max(_LEAST_SPARE_MB, _SPARE * figures.total_mb)


def trials_per_gpu(
    figures: GpuFigures, *, cpus: float, host_mb: float, host_mb_per_trial: float
) -> int:
    """Trials that one GPU holds, at least one.

    Args:
        cpus: trials that the CPUs per GPU can feed.
        host_mb: memory of the machine per GPU.
        host_mb_per_trial: what a trial's process takes of it.
    """
    by_memory = usable_mb(figures) / (limit_at_auto_mb(figures) + figures.context_mb)
    by_gpu = MOST_CLIENTS_OF_MPS if figures.has_mps else MOST_WITHOUT_MPS
    return max(1, int(min(by_memory, by_gpu, cpus, host_mb / host_mb_per_trial)))


def share_of_one(trials: int) -> float:
    """The share of each of so many trials, rounded down to four decimals, which is all that Ray keeps."""
    return math.floor(10_000 / trials) / 10_000


def limit_mb(figures: GpuFigures, gpus: float) -> int:
    """The most that a backend may take in a process that has this part of the GPU; below 1 where nothing is left."""
    return int(usable_mb(figures) * gpus - figures.context_mb)


def limit_at_auto_mb(figures: GpuFigures) -> int:
    """The most that a backend needs: the measured peak and a margin."""
    return int(figures.peak_mb * _MARGIN) + _MARGIN_MB


def fewer(trials: int) -> int:
    """Trials per GPU after memory ran out with `trials` of them."""
    return max(1, min(trials - 1, trials * 2 // 3))


def auto_share(figures: GpuFigures | None, trials: int) -> Share:
    """The share where the measured memory decides, with its peak and a margin.

    Args:
        figures: None of trials that need no memory.
    """
    share = _share(figures, share_of_one(trials))
    if figures is None or share.limit_mb is None:
        return share
    return Share(share.gpus, min(share.limit_mb, limit_at_auto_mb(figures)))


def given_share(figures: GpuFigures | None, gpus: float) -> Share:
    """The share where a person gave the number.

    Raises:
        ConfigError: a process needs more than that, or MPS serves fewer.
    """
    share = _share(figures, gpus)
    if figures is not None and share.fit_on(1) > MOST_CLIENTS_OF_MPS:
        raise ConfigError(
            f"--gpus-per-trial {gpus:g}: no more than {MOST_CLIENTS_OF_MPS} trials can share a GPU, got "
            f"{share.fit_on(1)}; write {math.ceil(10_000 / MOST_CLIENTS_OF_MPS) / 10_000:g} or more, or auto"
        )
    if figures is not None and share.limit_mb is not None and share.limit_mb < _LEAST_LIMIT_MB:
        raise ConfigError(
            f"--gpus-per-trial {gpus:g}: of a {figures.gpu} with {figures.free_mb} MB free that leaves nothing "
            f"beside the {figures.context_mb} MB that every process takes for itself; write a larger number, or auto"
        )
    return share


def lowered_share(figures: GpuFigures | None, share: Share) -> Share:
    """A larger share for all trials, after memory ran out: with all the memory that belongs to it."""
    return _share(figures, share_of_one(fewer(share.fit_on(1))))


def larger_share(figures: GpuFigures | None, share: Share) -> Share:
    """Twice the share, for a trial that ran out of memory."""
    return _share(figures, min(1.0, math.floor(20_000 * share.gpus + _ROUNDING) / 10_000))


def _share(figures: GpuFigures | None, gpus: float) -> Share:
    """A share with all the memory that belongs to it; a whole GPU is not limited."""
    return Share(gpus, limit_mb(figures, gpus) if figures is not None and gpus < 1 else None)
