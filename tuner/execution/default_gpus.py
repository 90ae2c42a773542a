"""The GPUs where `--gpus-per-trial` is not given: a search or confirmation takes this machine's by itself.

Must not import Ray or Keras.
"""

from tuner.execution import ray_internals
from tuner.settings.config import SearchConfig, TrainerName
from tuner.training.gpus_of_machine import default_gpus


def with_default_gpus(config: SearchConfig) -> SearchConfig:
    """The settings with `auto` for GPUs per trial, where that is not given, they are there and trials can use them.

    In a cluster nobody's GPUs are taken unasked. A Ray that runs in this process already may have fewer than the
    machine.
    """
    is_open = config.gpus_per_trial is None and config.trainer is not TrainerName.TOY
    if not is_open or config.address is not None or ray_internals.runs_already():
        return config
    gpus = default_gpus()
    return config.model_copy(update={"gpus_per_trial": gpus}) if gpus else config


def without_default_gpus(asked: SearchConfig, config: SearchConfig) -> SearchConfig | None:
    """The settings without GPUs, where those that trials have were not asked for; else None.

    Args:
        asked: before `with_default_gpus`.
        config: after it.
    """
    if asked.gpus_per_trial is not None or not config.gpus:
        return None
    return config.model_copy(update={"gpus_per_trial": 0.0})
