"""How a search ended."""

from dataclasses import dataclass
from enum import StrEnum

from tuner.run import Run


class EndReason(StrEnum):
    """Why a search ended."""

    BUDGET_USED = "budget used"
    BUDGET_WAS_USED = "budget was used before"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


@dataclass(frozen=True)
class SearchOutcome:
    """What a search came to."""

    run: Run
    reason: EndReason
    signal_number: int | None = None  # of an interrupted one
