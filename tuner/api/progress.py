"""How a Python call runs a search or a confirmation: what it prints, and how it ends."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuner.run import Run

if TYPE_CHECKING:
    from tuner.driver.progress import SearchListener
    from tuner.driver.sitting import SearchOutcome


def run_to_end(begin: "Callable[[SearchListener], SearchOutcome]", *, progress: bool) -> Run:
    """The run, once `begin` has come to its end.

    Args:
        progress: whether to print a line an event.

    Raises:
        KeyboardInterrupt: interrupted; finished trials are kept.
    """
    from tuner.driver.interrupts import Interrupted, StopRequested
    from tuner.driver.progress import SilentListener
    from tuner.driver.sitting import EndReason

    try:
        if progress:
            from tuner.terminal.live import Lines, terminal_stream

            with terminal_stream() as terminal:
                outcome = begin(Lines(terminal))
        else:
            outcome = begin(SilentListener())
    except (Interrupted, StopRequested) as cause:
        raise KeyboardInterrupt("before the first trial") from cause
    if outcome.reason is EndReason.INTERRUPTED:
        raise KeyboardInterrupt(f"{outcome.run.folder}: call the same again to continue")
    return outcome.run
