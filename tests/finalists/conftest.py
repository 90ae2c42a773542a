"""What the tests of finalists share."""

from collections.abc import Iterator

import pytest
from confirmed_run import Confirmed


@pytest.fixture(scope="session")
def run_once(shared_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Confirmed:
    """Searched and confirmed once for all of them."""
    return Confirmed(tmp_path_factory.mktemp("confirmed"))


@pytest.fixture
def confirmed(run_once: Confirmed) -> Iterator[Confirmed]:
    """As its confirmation left it."""
    yield run_once
    run_once.folder.tests.unlink(missing_ok=True)
