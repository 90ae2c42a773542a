"""The words by which Ray's errors tell why a process ended, and where it was.

`tests/execution/test_ray_internals.py` fails when Ray changes one of them. Must not import Ray.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class DeathText(StrEnum):
    """Words in the errors that Ray raises for a task whose process ended. No attribute of the error has as much.

    They come from Ray's daemons (https://github.com/ray-project/ray/pull/20528,
    https://github.com/ray-project/ray/pull/44212).
    """

    OUT_OF_MEMORY_ERROR = "OutOfMemoryError"
    LOW_MEMORY = "running low on memory"
    NODE_DIED = "its node has died"
    # An actor whose connection broke: its node died so recently that Ray does not know yet, or the network did.
    UNREACHABLE = "The actor is temporarily unavailable"
    ACTOR_DIED_ERROR = "ActorDiedError"
    DIED = "died"
    # An actor that could not be set up; the traceback follows.
    SET_UP_FAILED = "error raised in its creation task"


@dataclass(frozen=True)
class Origin:
    """The process that an error comes from; "" where the error does not name it."""

    host: str
    pid: str


def origin_of(error: str) -> Origin:
    """The process that failed or died, by Ray's words (ray/exceptions.py: `pid=12, ip=…`, or a line `pid: 12`)."""
    host = re.search(r"\bip[=:] ?([\w.:]*\w)", error)
    pid = re.search(r"\bpid[=:] ?(\d+)", error)
    return Origin(host[1] if host else "", pid[1] if pid else "")
