"""What a sitting asks of the files that follow its trials."""

from typing import Protocol


class RunFiles(Protocol):
    """What is written into the run folder as trials go on."""

    def mark_stale(self) -> None:
        """Something happened that the files do not show yet."""

    def write_if_due(self) -> None:
        """Writes when there is news and the last writing was long enough ago."""

    def write(self) -> None:
        """Writes now."""
