"""How many trials share a GPU. No GPU is needed: its figures are handed in."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.data import Dataset, EncodedSequences, Split
from tuner.errors import ConfigError
from tuner.execution import gpus as gpu_share
from tuner.execution.gpus import share_of_one_gpu, trials_that_fit, with_measured_share
from tuner.settings.config import SearchConfig
from tuner.settings.space import SearchSpace

SEQUENCES = EncodedSequences(
    np.full(7, 3, np.int32), np.array([0, 2, 7]), np.array([0, 1], np.int32)
)
DATASET = Dataset("d", "f", ("no", "yes"), (), dict.fromkeys(Split, SEQUENCES))


def cluster(*nodes: dict[str, float]) -> SimpleNamespace:
    return SimpleNamespace(nodes=list(nodes), expected=[], ray=None)


def auto(space: SearchSpace, **settings: object) -> SearchConfig:
    return SearchConfig.model_validate({"space": space, "gpus_per_trial": "auto", **settings})


@given(st.floats(1, 50_000), st.floats(1_000, 200_000))
def test_trials_that_fit_leave_each_its_peak(peak_mb: float, total_mb: float) -> None:
    trials = trials_that_fit(peak_mb, total_mb)
    assert trials == 1 or total_mb / trials >= peak_mb + 600


@given(st.integers(1, 500))
def test_shares_of_a_gpu_do_not_exceed_it(trials: int) -> None:
    share = share_of_one_gpu(trials)
    assert 0 < share * trials <= 1
    assert share == round(share, 4)


@pytest.mark.parametrize(
    ("peak_mb", "cpus", "cpus_per_trial", "share"),
    [
        (2_000, 64.0, 1.0, 0.0384),
        (2_000, 4.0, 1.0, 0.25),
        (2_000, 4.0, 2.0, 0.5),
        (79_000, 64.0, 1.0, 1.0),
    ],
)
def test_memory_and_cpus_bound_the_trials_per_gpu(
    space: SearchSpace,
    monkeypatch: pytest.MonkeyPatch,
    peak_mb: float,
    cpus: float,
    cpus_per_trial: float,
    share: float,
) -> None:
    asked = []

    def measure(largest, cluster, *, n_classes, longest, cpus):
        asked.append((len(largest), n_classes, longest, cpus))
        return peak_mb, 81_000

    monkeypatch.setattr(gpu_share, "_measure", measure)
    config = auto(space, cpus_per_trial=cpus_per_trial)

    measured = with_measured_share(config, cluster({"CPU": cpus, "GPU": 1.0}), DATASET)

    assert measured.gpus == share
    assert asked == [(len(space.architectures), 2, 5, cpus_per_trial)]


def test_without_a_gpu_it_is_refused(space: SearchSpace) -> None:
    with pytest.raises(ConfigError, match=r"^--gpus-per-trial auto: no GPU is seen; leave it out"):
        with_measured_share(auto(space), cluster({"CPU": 4.0}), DATASET)


def test_a_number_is_left_alone(space: SearchSpace) -> None:
    config = SearchConfig(space=space, gpus_per_trial=0.25)
    assert with_measured_share(config, cluster(), DATASET) is config


@pytest.mark.ray
def test_a_gpu_of_unknown_memory_is_refused(shared_ray, space: SearchSpace) -> None:
    import ray

    ray.experimental  # noqa: B018  (Ray is up)
    declared = SimpleNamespace(nodes=[{"CPU": 1.0, "GPU": 1.0}], expected=[], ray=_WithoutGpus(ray))
    with pytest.raises(
        ConfigError, match="neither NVIDIA's driver nor Keras' backend reports the GPU's memory"
    ):
        with_measured_share(auto(space), declared, DATASET)


class _WithoutGpus:
    """Ray, but tasks that ask for a GPU get a place without one: this machine declares none."""

    def __init__(self, ray) -> None:
        self._ray = ray

    def remote(self, num_gpus: int, **options):
        assert num_gpus == 1
        return self._ray.remote(**options)

    def __getattr__(self, name: str):
        return getattr(self._ray, name)
