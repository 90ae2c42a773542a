"""The ledger of a person's test evaluations, of all runs: rows that ten runs test on are not new to the tenth.

It lies in the cache folder, beside prepared data. A run folder knows its own evaluations alone, so runs of the same
data would each evaluate the same rows for the first time. Rows are recorded by a few digests, never by their text. A
ledger that is missing, damaged or cannot be written tells less, and is never an error. Must not import Ray, Keras or
Optuna.
"""

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tuner.files import cache_root, lock_file
from tuner.settings.validation import Strict
from tuner.text import one_line

_NAME = "test-evaluations.jsonl"
# Digests per evaluation. Of two sets of like size a common twentieth is seen in 99 of 100 cases; of 100 rows that are
# all among 25,000 in 40 only, because the larger set's lowest digests leave few places for the smaller one's.
_KEPT = 128
_LEAST_SHARE = 0.05  # of the smaller set; fewer texts may be alike by chance, such as "thanks"
_LOCK_WAIT_S = 5.0
_logger = logging.getLogger(__name__)


class OtherEvaluation(Strict):
    """When another run was evaluated on some of the same rows."""

    run: str  # its name
    opened: str  # in UTC


class Entry(Strict):
    """A test evaluation as the ledger has it, one line of JSON."""

    run: str  # the run's name
    created: str | None  # when the run was: two runs may have one name
    opened: str  # in UTC
    texts: int  # how many different ones were evaluated
    lowest: tuple[str, ...]  # the lowest of their digests, in hex and in order: a sample of them

    def shares_rows_with(self, other: "Entry") -> bool:
        """Whether enough of the texts are the same, as their lowest digests show.

        Of the lowest digests of all texts together, the share that both have estimates the share of all (a bottom-k
        sketch, Cohen and Kaplan, 2007).
        """
        of_both = sorted({*self.lowest, *other.lowest})[:_KEPT]
        same = len(set(of_both).intersection(self.lowest).intersection(other.lowest))
        if not same:
            return False
        jaccard = same / len(of_both)
        shared = jaccard / (1 + jaccard) * (self.texts + other.texts)
        return shared >= _LEAST_SHARE * min(self.texts, other.texts)

    def is_of_run(self, other: "Entry") -> bool:
        """Whether both are of the same run, or of copies of it."""
        return (self.run, self.created) == (other.run, other.created)


@dataclass(frozen=True)
class Ledger:
    """The ledger in a file."""

    path: Path | None  # None: there is no place for one

    @classmethod
    def of_user(cls) -> "Ledger":
        """This user's ledger."""
        try:
            return cls(cache_root() / _NAME)
        except OSError as cause:  # no home, and somebody else's folder in place of the substitute
            _logger.warning(
                "test evaluations of other runs are not known: %s", one_line(str(cause))
            )
            return cls(None)

    def entries(self) -> list[Entry]:
        """The evaluations that can be read, in the order in which they were recorded."""
        try:
            content = b"" if self.path is None else self.path.read_bytes()
        except OSError:
            return []
        found = []
        for line in content.splitlines():
            with suppress(ValidationError):  # damaged, or of a later version
                found.append(Entry.model_validate_json(line))
        return found

    def record(self, entry: Entry) -> None:
        """Adds an evaluation; of two processes that do so at the same time, both are recorded."""
        if self.path is None:
            return
        # A newline comes first, because the line before may be incomplete.
        line = f"\n{json.dumps(entry.model_dump())}\n".encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab", buffering=0) as file:
                with suppress(OSError):  # a file system without locks
                    lock_file(file, wait_s=_LOCK_WAIT_S)
                file.write(line)
        except OSError as cause:
            _logger.warning(
                "other runs will not know of this test evaluation: %s cannot be written (%s)",
                self.path,
                cause.strerror,
            )

    def of_other_runs(self, entry: Entry, own: Collection[str] = ()) -> tuple[OtherEvaluation, ...]:
        """The evaluations of other runs that share rows with this one.

        Args:
            own: when the run itself was evaluated, under whatever name.
        """
        return tuple(
            OtherEvaluation(run=each.run, opened=each.opened)
            for each in self.entries()
            if not each.is_of_run(entry) and each.opened not in own and each.shares_rows_with(entry)
        )


def make_entry(run: str, created: str | None, opened: str, digests: Iterable[bytes]) -> Entry:
    """The entry of an evaluation.

    Args:
        digests: from `text_digest`, one per row.
    """
    texts = sorted(set(digests))
    lowest = tuple(digest.hex()[:16] for digest in texts[:_KEPT])
    return Entry(run=run, created=created, opened=opened, texts=len(texts), lowest=lowest)


def others_text(others: Sequence[OtherEvaluation]) -> str:
    """One sentence about evaluations of other runs; empty without any."""
    if not others:
        return ""
    times = "once" if len(others) == 1 else f"{len(others):,} times"
    names = sorted({each.run for each in others})
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return (
        f"These rows, or some of them, were evaluated {times} by other runs of yours ({shown}), first on "
        f"{others[0].opened}: if you choose between these runs by such figures, those of the chosen model are too good."
    )
