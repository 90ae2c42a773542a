"""`tests.yaml`: every opening of a test that a run has seen, as `tuner test` wrote it down."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuner.errors import RunFolderError
from tuner.files import lock_file, write_atomically
from tuner.run.folder import RunFolder
from tuner.settings.yaml_files import read_yaml, to_yaml

TEST_SPLIT = "the test split"  # what an opening of it calls the data


def read_openings(folder: RunFolder) -> list[dict[str, Any]]:
    """The openings, the first one first; none before any.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not folder.tests.is_file():
        return []
    try:
        openings = read_yaml(folder.tests, RunFolderError).get("openings")
    except RunFolderError as cause:
        raise RunFolderError(f"{cause}; move it away") from cause
    if not isinstance(openings, list) or not all(isinstance(each, dict) for each in openings):
        raise RunFolderError(f"{folder.tests}: no list of openings in it; move it away")
    return openings


def add_opening(
    folder: RunFolder, record: Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
) -> None:
    """Writes another opening down; two that end at once both are.

    Args:
        record: the opening, given those before it.

    Raises:
        RunFolderError: the file is damaged.
    """
    folder.logs.mkdir(parents=True, exist_ok=True)
    with open(folder.logs / "tests.lock", "w") as lock:
        lock_file(lock, wait_s=math.inf)
        earlier = read_openings(folder)
        write_atomically(folder.tests, to_yaml({"openings": [*earlier, dict(record(earlier))]}))


def member_name(trial: int | None, seed: int) -> str:
    """How a model that was tested is called in there."""
    return f"trial {trial}, seed {seed}"
