"""Adversarial noise needs TensorFlow: a space that may draw it is refused before anything starts."""

from pathlib import Path

import pytest
from support.searches import make, write_sentences

from tuner.errors import SpaceError
from tuner.execution.checks import refuse_noise_in_space
from tuner.execution.search import run_search
from tuner.settings.space import SearchSpace


def noisy(noise: object) -> SearchSpace:
    return SearchSpace.from_mapping(
        {"name": "noisy", "architectures": {"bilstm": {}, "lstm": {"adversarial_noise": noise}}},
        "noisy.yaml",
    )


@pytest.mark.parametrize("noise", [0.02, {"choice": [0.0, 0.02]}, {"float": [0.0, 0.1]}])
def test_a_space_with_noise_is_refused_on_jax_and_leaves_nothing(
    noise: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    config = make(noisy(noise), write_sentences(tmp_path), tmp_path / "runs", trainer="keras")

    with pytest.raises(
        SpaceError,
        match=r"^space noisy: lstm\.adversarial_noise: needs KERAS_BACKEND=tensorflow, got jax; set it to 0, or",
    ):
        run_search(config)

    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("backend", "noise", "settings"),
    [
        ("tensorflow", 0.02, {}),
        ("jax", 0.0, {}),
        ("torch", 0.02, {"trainer": "toy"}),  # which learns nothing
        ("torch", 0.02, {"address": "10.0.0.1:6379"}),  # whose workers have backends of their own
    ],
)
def test_other_searches_are_not(
    backend: str,
    noise: float,
    settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    refuse_noise_in_space(
        make(noisy(noise), tmp_path, tmp_path, **{"trainer": "keras", **settings})
    )
