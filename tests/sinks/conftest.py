"""A study whose trials are copied to sinks."""

from pathlib import Path

import pytest
from studies import open_study

from tuner.space import SearchSpace
from tuner.study import SearchStudy


@pytest.fixture
def study(tmp_path: Path, space: SearchSpace) -> SearchStudy:
    return open_study(tmp_path / "study.journal", space)
