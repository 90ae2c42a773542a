"""Commands as a person types them: the command line, how to run it in this process, and how it ended."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from tuner import cli

TUNER = [sys.executable, "-m", "tuner"]
"""The command in a process of its own, from any folder."""


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


def run_tuner(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Ended:
    """Runs `tuner` with `arguments` in this process and in the current folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["tuner", *arguments])
        with pytest.raises(SystemExit, match=r"^\d+$") as ended:
            cli.main()
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Ended(ended.value.code, printed.out, printed.err)
