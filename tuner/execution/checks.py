"""Refuses trials that cannot be trained here, before anything starts: otherwise each of them would fail alone.

Must not import Ray or Keras.
"""

from tuner.errors import SpaceError
from tuner.machine import DEFAULT_BACKEND, keras_backend
from tuner.settings.config import SearchConfig, TrainerName
from tuner.settings.hyperparameters import Hyperparameters, is_custom
from tuner.training.custom import check_importable


def refuse_unknown_architectures(config: SearchConfig) -> None:
    """Refuses a user's own architecture that cannot be imported.

    Raises:
        SpaceError: in one line, which and why.
    """
    for architecture in config.space.architectures:
        if is_custom(architecture):
            check_importable(architecture)


def refuse_noise_in_space(config: SearchConfig) -> None:
    """Refuses a space that may draw adversarial noise, where Keras' backend has none.

    Raises:
        SpaceError: in one line, which architecture has it.
    """
    for architecture in config.space.architectures:
        for largest in config.space.largest(architecture):
            refuse_noise(config, largest, f"space {config.space.name}: {architecture}")


def refuse_noise(config: SearchConfig, hyperparameters: Hyperparameters, where: str) -> None:
    """Refuses a configuration with adversarial noise, where Keras' backend has none.

    On a cluster each worker has its own backend, and only the trial can tell.

    Raises:
        SpaceError: in one line; `where` names the configuration.
    """
    if config.trainer is TrainerName.TOY or config.address is not None:
        return
    backend, _ = keras_backend()
    if hyperparameters.adversarial_noise and backend not in (DEFAULT_BACKEND, None):
        raise SpaceError(
            f"{where}.adversarial_noise: needs KERAS_BACKEND={DEFAULT_BACKEND}, got {backend}; set it to 0, "
            f"or export KERAS_BACKEND={DEFAULT_BACKEND}"
        )
