"""`tests.yaml`: every opening of a test that a run has seen, as `tuner test` wrote it down."""

from typing import Any

from tuner.errors import RunFolderError
from tuner.run_folder import RunFolder
from tuner.yaml_files import read_yaml

TEST_SPLIT = "the test split"  # what an opening of it calls the data


def read_openings(folder: RunFolder) -> list[dict[str, Any]]:
    """The openings, the first one first; none before any.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not folder.tests.is_file():
        return []
    openings = read_yaml(folder.tests, RunFolderError).get("openings")
    if not isinstance(openings, list) or not all(isinstance(each, dict) for each in openings):
        raise RunFolderError(f"{folder.tests}: no list of openings in it; move it away")
    return openings


def member_name(trial: int | None, seed: int) -> str:
    """How a model that was tested is called in there."""
    return f"trial {trial}, seed {seed}"
