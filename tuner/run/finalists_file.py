"""`finalists.csv`: the finalists of a run in order, as `tuner confirm` wrote them. Must not import Ray or Keras."""

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, ValidationError

from tuner.errors import RunFolderError
from tuner.run.ensemble import part_text
from tuner.run.folder import RunFolder
from tuner.settings.metric import Metric
from tuner.settings.validation import Strict, first_problem
from tuner.text import score_text

if TYPE_CHECKING:
    import pandas as pd


def shown_bias(bias: float) -> str | None:
    """The selection bias as it is told; None where it is too small to be seen."""
    text = score_text(bias)
    return None if text == score_text(0.0) else text


class FinalistRow(Strict):
    """One row; the columns of the parameters follow its fields."""

    model_config = ConfigDict(extra="ignore")

    rank: int
    trial: int
    architecture: str
    seeds: int
    mean: float  # of the run's metric over the seeds, on the confirmation split
    deviation: float | None = None  # of more than one seed
    low: float  # a 95 % interval of the mean; of the first, corrected for its having been chosen, where that is known
    high: float
    search_score: float
    optimism: float  # the gap: how much better the search's score looked
    tie_with_best: bool
    # By how much worse than the best, in 95 of 100 confirmations; None in earlier files, and where none has two seeds.
    worse_at_least: float | None = None
    worse_at_most: float | None = None
    recommended: bool = False  # the smallest of those that are close enough to the best
    # Of the first: by how much its mean is expected to be too good, because it was chosen by it. None in earlier files.
    selection_bias: float | None = None
    # The gap's standard error, and its two parts with theirs; None in earlier files, the parts also where unknown.
    gap_error: float | None = None
    gap_of_selection: float | None = None
    gap_of_selection_error: float | None = None
    gap_of_rows: float | None = None
    gap_of_rows_error: float | None = None
    # All seeds' models averaged: the score, and by how much it is better than that of one seed, with a 95 % interval.
    # None in earlier files, and of a single seed.
    averaged: float | None = None
    averaged_gain: float | None = None
    averaged_gain_low: float | None = None
    averaged_gain_high: float | None = None
    # Texts or groups of the confirmation split; None in earlier files, and where each row is one of its own.
    clusters: int | None = None
    # The linear reference averaged with each seed's model: the mean score, and by how much it is better than
    # the mean without it, with a 95 % interval; its part beside the best seed's. None in earlier files, and where
    # none was kept or it would add nothing.
    with_reference: float | None = None
    with_reference_gain: float | None = None
    with_reference_gain_low: float | None = None
    with_reference_gain_high: float | None = None
    reference_weight: float | None = None

    @property
    def gap_text(self) -> str:
        """The gap with its parts: `0.0400 (standard error 0.0085), of which …`."""
        whole = f"{score_text(self.optimism)}"
        if self.gap_error is not None:
            whole += f" (standard error {score_text(self.gap_error)})"
        if self.gap_of_selection is None or self.gap_of_rows is None:
            return whole
        return (
            f"{whole}, of which {score_text(self.gap_of_selection)} ({score_text(self.gap_of_selection_error)}) is "
            f"that of its seed and of having been chosen, {score_text(self.gap_of_rows)} "
            f"({score_text(self.gap_of_rows_error)}) that of other sequences and of the choice of the epoch"
        )

    @property
    def averaged_text(self) -> str | None:
        """See `averaged_text`; None where it is not known."""
        gain, low, high = self.averaged_gain, self.averaged_gain_low, self.averaged_gain_high
        if self.averaged is None or gain is None or low is None or high is None:
            return None
        return averaged_text(self.seeds, self.averaged, gain, low, high)

    @property
    def with_reference_text(self) -> str | None:
        """See `with_reference_text`; None where it is not known."""
        gain, low, high = (
            self.with_reference_gain,
            self.with_reference_gain_low,
            self.with_reference_gain_high,
        )
        score, weight = self.with_reference, self.reference_weight
        if score is None or weight is None or gain is None or low is None or high is None:
            return None
        return with_reference_text(weight, score, gain, low, high)


def averaged_text(models: int, score: float, gain: float, low: float, high: float) -> str:
    """`5 seeds averaged 0.9150, gain over one of them +0.0050 (95 % interval +0.0010 to +0.0090)`."""
    return (
        f"{models} seeds averaged {score_text(score)}, gain over one of them {gain:+.4f} "
        f"(95 % interval {low:+.4f} to {high:+.4f})"
    )


def with_reference_text(weight: float, score: float, gain: float, low: float, high: float) -> str:
    """`with the linear reference (half of the average) 0.9240, gain over its mean +0.0120 (95 % interval …)`."""
    return (
        f"with the linear reference ({part_text(weight)} of the average) {score_text(score)}, gain over its mean "
        f"{gain:+.4f} (95 % interval {low:+.4f} to {high:+.4f})"
    )


def frame_of(
    rows: Sequence[FinalistRow], parameters: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> "pd.DataFrame":
    """The content of the file.

    Args:
        rows: best first.
        parameters: those of each row.
        names: of the space's parameters, which become columns. One that is called as a field is `parameter NAME`.
    """
    import pandas as pd

    fields = FinalistRow.model_fields
    columns = {name: f"parameter {name}" if name in fields else name for name in names}
    cells = [
        {**row.model_dump(), **{column: values.get(name) for name, column in columns.items()}}
        for row, values in zip(rows, parameters, strict=True)
    ]
    return pd.DataFrame(cells, columns=[*fields, *columns.values()]).convert_dtypes()


def read_finalists_file(folder: RunFolder) -> tuple[FinalistRow, ...]:
    """The rows of `finalists.csv`, best first; none before any confirmation.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not folder.finalists.is_file():
        return ()
    try:
        text = folder.finalists.read_text(encoding="utf-8-sig")  # Excel writes a byte order mark
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if not table.fieldnames:
            raise _damaged(folder, "it is empty")
        filled = [{name: cell for name, cell in row.items() if cell} for row in table]
        return tuple(FinalistRow.model_validate(row) for row in filled)
    except ValidationError as cause:
        raise _damaged(folder, str(first_problem(cause))) from cause
    except (csv.Error, UnicodeDecodeError) as cause:
        raise _damaged(folder, str(cause)) from cause


def best_of_search(finalists: Sequence[FinalistRow], metric: Metric) -> FinalistRow:
    """The finalist with the best score in the search, the earlier trial of equals: its gap is the search's.

    It was on top of the leaderboard because of that score, so the score looks better than it is. The finalist that
    came first in the confirmation was not chosen by its search score, and a trial found since has no confirmed score.
    """
    return min(finalists, key=lambda each: (metric.as_cost(each.search_score), each.trial))


def _damaged(folder: RunFolder, reason: str) -> RunFolderError:
    return RunFolderError(
        f"{folder.finalists}: damaged ({reason}); "
        f"remove it and type: tuner confirm {shlex.quote(str(folder.path))}"
    )
