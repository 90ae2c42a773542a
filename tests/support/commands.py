"""How a command that was typed ended, for the tests of commands."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line on standard error, nothing else having been printed."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("tuner: ")
        assert self.err.endswith("\n")
        assert self.err[:-1].isprintable()
        return self.err[:-1].removeprefix("tuner: ")


Call = Callable[..., Ended]
MakeRun = Callable[..., str]
