"""A trial's share of a GPU: arithmetic for GPUs of every size, without one."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.gpus import GPUS, gpu

from tuner.errors import ConfigError
from tuner.execution.shares import (
    MOST_CLIENTS_OF_MPS,
    MOST_WITHOUT_MPS,
    Share,
    auto_share,
    given_share,
    larger_share,
    limit_mb,
    lowered_share,
    share_of_one,
    trials_per_gpu,
    usable_mb,
)
from tuner.training.gpu_memory import GpuFigures


def fit(figures: GpuFigures, cpus: float = 64.0, host_mb: float = 500_000.0) -> int:
    return trials_per_gpu(figures, cpus=cpus, host_mb=host_mb, host_mb_per_trial=3_000.0)


def held_mb(figures: GpuFigures, trials: int) -> float:
    """What so many processes hold of a GPU at `auto`."""
    limit = auto_share(figures, trials).limit_mb
    assert limit is not None
    return trials * (limit + figures.context_mb)


figures_of_gpus = st.builds(
    gpu,
    st.sampled_from(sorted(GPUS)),
    peak_mb=st.integers(50, 20_000),
    context_mb=st.integers(300, 1_000),
    has_mps=st.booleans(),
)


# -- auto -----------------------------------------------------------------------------------------


def test_fourteen_processes_fit_on_80_gb_with_something_to_spare() -> None:
    """As on the H100 where 16 died: contexts of 500 to 900 MB each, beside what their backends took."""
    for context_mb in (500, 700, 900):
        figures = gpu("H100", peak_mb=3_400, context_mb=context_mb)
        trials = fit(figures, cpus=16)
        assert trials >= 14
        assert held_mb(figures, trials) <= 0.96 * figures.free_mb


@pytest.mark.parametrize(
    ("name", "trials", "limit"), [("T4", 3, 4_006), ("A10G", 4, 4_006), ("A100", 8, 4_006)]
)
def test_smaller_gpus_hold_fewer(name: str, trials: int, limit: int) -> None:
    assert fit(gpu(name)) == trials
    assert auto_share(gpu(name), trials) == Share(share_of_one(trials), limit)


@given(figures_of_gpus)
def test_processes_never_hold_more_than_a_gpu_has_to_give(figures: GpuFigures) -> None:
    trials = fit(figures)
    assume(trials > 1)
    assert held_mb(figures, trials) <= usable_mb(figures)
    limit = auto_share(figures, trials).limit_mb
    assert limit is not None
    assert limit >= figures.peak_mb


@given(figures_of_gpus, st.integers(0, 6))
def test_lowered_as_often_as_one_likes_it_still_fits(figures: GpuFigures, lowered: int) -> None:
    trials = fit(figures)
    share = auto_share(figures, trials)
    for _ in range(lowered):
        share = lowered_share(figures, share)
    if share.limit_mb is not None:
        assert share.fit_on(1) * (share.limit_mb + figures.context_mb) <= usable_mb(figures)


def test_without_mps_no_more_share_a_gpu_than_pays() -> None:
    assert fit(gpu(peak_mb=100)) == MOST_CLIENTS_OF_MPS
    assert fit(gpu(peak_mb=100, has_mps=False)) == MOST_WITHOUT_MPS


def test_cpus_and_memory_of_the_machine_bound_the_trials_of_a_gpu() -> None:
    assert fit(gpu(), cpus=6.5) == 6
    assert fit(gpu(), host_mb=16_000) == 5
    assert fit(gpu(), cpus=0.5, host_mb=100) == 1


def test_what_others_hold_of_a_gpu_is_not_given_away() -> None:
    assert fit(gpu(free_mb=40_000)) == 7


def test_a_training_that_fills_the_gpu_has_it_alone() -> None:
    figures = gpu(peak_mb=72_000)
    assert fit(figures) == 1
    assert auto_share(figures, 1) == Share(1.0)


@given(st.integers(1, 500))
def test_shares_of_a_gpu_do_not_exceed_it(trials: int) -> None:
    share = share_of_one(trials)
    assert 0 < share * trials <= 1
    assert share == round(share, 4)
    assert Share(share).fit_on(1) >= trials


# -- a number -------------------------------------------------------------------------------------


def test_a_number_gives_that_part_without_the_context() -> None:
    figures = gpu("T4")
    assert given_share(figures, 0.25) == Share(0.25, int(usable_mb(figures) / 4 - 700))
    assert given_share(figures, 1.0) == Share(1.0)


def test_a_number_that_leaves_nothing_beside_the_context_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--gpus-per-trial 0.05: of a T4 with 14930 MB free.*700 MB"
    ):
        given_share(gpu("T4"), 0.05)


def test_a_number_for_more_trials_than_mps_serves_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"no more than 48 trials can share a GPU, got 100; write 0.0209 or more"
    ):
        given_share(gpu("H100"), 0.01)
    assert Share(0.0209).fit_on(1) <= MOST_CLIENTS_OF_MPS
    assert given_share(gpu("H100", context_mb=300), 0.0209).gpus == 0.0209


# -- a larger share -------------------------------------------------------------------------------


def test_a_larger_share_is_twice_the_share_at_most_the_gpu() -> None:
    figures = gpu("H100")
    larger = larger_share(figures, Share(0.0714, 4_006))
    assert larger == Share(0.1428, limit_mb(figures, 0.1428))
    assert larger.limit_mb is not None
    assert larger.limit_mb > 2 * 4_006
    assert larger_share(figures, Share(0.5, 9_000)) == Share(1.0)
    assert larger_share(figures, Share(0.75, 9_000)) == Share(1.0)


@pytest.mark.parametrize(
    ("gpus", "on_gpus", "trials"),
    [
        (0.4, 2, 4),
        (0.6, 4, 4),
        (0.3, 4, 12),
        (1 / 3, 1, 3),
        (0.25, 0.5, 2),
        (1.0, 8, 8),
        (0.5, 0, 0),
    ],
)
def test_fractions_are_counted_per_gpu(gpus: float, on_gpus: float, trials: int) -> None:
    assert Share(gpus).fit_on(on_gpus) == trials
