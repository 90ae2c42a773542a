"""A finding of `tuner doctor`, and what it is written with."""

import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum

DISTRIBUTION = "sequence-tuner"


class Status(StrEnum):
    """The meaning of a finding for a search."""

    OK = "ok"
    WARNING = "warning"  # works, but slower or with less than it could have
    PROBLEM = "problem"  # a search will fail


@dataclass(frozen=True)
class Check:
    """One check: its finding and, where something is wrong, the command that fixes it."""

    name: str
    status: Status
    found: str
    advice: str = ""


def pip_install(*arguments: str) -> str:
    """The command that installs into this very environment, ready to paste."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def gigabytes(size: float) -> str:
    """Bytes, for a sentence."""
    return f"{size / 1e9:.1f} GB"
