"""Two hosts that share a copy of a run folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mirrored_machine import Machine


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def old(tmp_path: Path, copy: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "old", f"file://{copy}")
    yield machine
    machine.end()


@pytest.fixture
def new(tmp_path: Path, copy: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "new", f"file://{copy}")
    yield machine
    machine.end()
