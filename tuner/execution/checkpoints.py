"""Where the checkpoints of a run's trials are kept, if anywhere: in a folder that holds nothing else."""

import hashlib
from contextlib import suppress

from tuner.data import Dataset
from tuner.errors import ConfigError
from tuner.settings.config import SearchConfig
from tuner.settings.places import absolute
from tuner.storage import Storage


def checkpoints_of(config: SearchConfig, dataset: Dataset) -> Storage | None:
    """The folder for this run's checkpoints, which holds nothing else; None where none are kept.

    Raises:
        ConfigError: it cannot be reached.
    """
    if config.storage_path is None:
        return None
    run = f"{absolute(config.out)}/{config.run_name}/{dataset.fingerprint}"
    digest = hashlib.sha256(run.encode()).hexdigest()[:12]
    place = absolute(config.storage_path).rstrip("/")
    return Storage(f"{place}/tuner-checkpoints/{config.run_name}-{digest}")


def remove_checkpoints(config: SearchConfig, dataset: Dataset) -> None:
    """Removes them, where that is possible."""
    with suppress(OSError, ConfigError):
        storage = checkpoints_of(config, dataset)
        if storage is not None:
            storage.remove_all()
