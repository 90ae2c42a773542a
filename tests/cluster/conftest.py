"""Hosts are taken down also when the tests are interrupted."""

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _terminated_in_good_order() -> Iterator[None]:
    """SIGTERM, which `make test` sends on Ctrl-C, ends the tests as Ctrl-C would: hosts and networks go."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)
