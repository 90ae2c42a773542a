"""A study whose trials are copied to exporters."""

from pathlib import Path

import pytest
from support.studies import open_study

from tuner.search.study import SearchStudy
from tuner.settings.space import SearchSpace


@pytest.fixture
def study(tmp_path: Path, space: SearchSpace) -> SearchStudy:
    return open_study(tmp_path / "study.journal", space)
