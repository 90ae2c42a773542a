"""The ensemble of a search on the screen: its figures, its members, its cost, or why there is none."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tuner.run.ensemble import NO_MODELS, EnsembleRecord
from tuner.run.merged_board import MergedBoard
from tuner.run.reference_record import ReferenceRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.objectives import Objectives
from tuner.terminal.reference import reference_lines
from tuner.text import one_group_lines


def ensemble_lines(
    ensemble: EnsembleRecord | None, counts: Mapping[TrialStatus, int], objectives: Objectives
) -> list[str]:
    """Lines of figures and one of members and costs; where there is no ensemble, one that tells why.

    Args:
        counts: of the trials that have ended; before one has worked there is nothing to tell.
        objectives: of the search.
    """
    if ensemble is not None:
        return [*ensemble.lines, ensemble.cost_text]
    if not any(status.has_worked for status in counts):
        return []
    if objectives.costs:
        name = objectives.metric.name
        return [
            f"{NO_MODELS}: an average costs as much as its members together; --ensemble 5 keeps the best by {name}"
        ]
    return [NO_MODELS]


def board_footer(board: MergedBoard) -> list[str]:
    """The lines below a leaderboard: of one run all figures, of several those that compare them."""
    if len(board.ensembles) > 1:
        return [
            line
            for name, ensemble in board.ensembles.items()
            if ensemble is not None
            for line in (f"Ensemble of {name}: {ensemble.text}", *one_group_note(ensemble, None))
        ]
    (ensemble,) = board.ensembles.values()
    counts = Counter(map(TrialStatus, board.trials["status"]))
    lines = ensemble_lines(ensemble, counts, board.objectives)
    (reference,) = board.references.values()
    return [
        *headed("Ensemble:", lines, width=11),
        *reference_lines(reference, width=10),
        *headed("Note:", one_group_note(ensemble, reference), width=11),
    ]


def one_group_note(ensemble: EnsembleRecord | None, reference: ReferenceRecord | None) -> list[str]:
    """A line where the confirmation rows, which both are measured on, are one group alone; none else."""
    counts = [each.clusters for each in (ensemble, reference) if each is not None]
    return one_group_lines("confirmation", next(filter(None, counts), None))


def headed(heading: str, lines: Sequence[str], *, width: int) -> list[str]:
    """The lines in a column, the first one with its heading before it, of so many characters with the space between."""
    return [f"{'' if number else heading:<{width}}{line}" for number, line in enumerate(lines)]
