"""Finalists on the terminal: the table, which of them differ, and the gap between search and confirmation."""

import shlex
from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from tuner.data import Split, cluster_count, load_dataset
from tuner.execution.plan import SearchOutcome
from tuner.finalists.card import since_text
from tuner.finalists.choice import Chosen
from tuner.finalists.comparisons import visible_difference
from tuner.finalists.finalist import Finalist
from tuner.finalists.ranking import (
    compared_with_reference,
    confirm_command,
    finalist_rows,
    read_failures,
    read_finalists,
)
from tuner.finalists.request import Request
from tuner.finalists.trainings import best_distinct
from tuner.run import Run
from tuner.run.ended_trainings import Failure
from tuner.run.evaluations import MOST_CLASSES, ClassFigures, EvaluationFigures, RecordedEvaluation
from tuner.run.finalists_file import best_of_search, shown_bias
from tuner.run.ledger import others_text
from tuner.run.records import contenders
from tuner.run.requested_trainings import MARGIN, margin_of
from tuner.run.sessions import SessionEnd
from tuner.settings.data import DataConfig
from tuner.settings.hyperparameters import module_options
from tuner.settings.metric import MetricName
from tuner.settings.objectives import Objectives
from tuner.settings.space import SearchSpace
from tuner.terminal.tables import FirstThatFits, RowsOfTable, plain_console, printable
from tuner.text import (
    cost_text,
    count_text,
    joined,
    number_text,
    one_group_lines,
    score_text,
)

_SHOWN_CLASSES = 10


def print_confirmation(outcome: SearchOutcome, data: DataConfig) -> int:
    """Prints how a confirmation ended; returns the exit code.

    Args:
        data: of the run, where they lie now.
    """
    console = plain_console()
    run = outcome.run
    where = shlex.quote(str(run.folder))
    modules = module_options(run.space.architectures)
    if outcome.reason in {SessionEnd.INTERRUPTED, SessionEnd.STOPPED}:
        console.print(
            printable(
                f"Stopped; type the same command again to continue. So far: {run.files.finalists}"
            ),
            soft_wrap=True,
        )
        return 128 + outcome.signal_number if outcome.signal_number is not None else 0
    dataset = load_dataset(data.without_vectors)
    finalists = read_finalists(run, dataset)
    console.print(finalists_table(finalists, run.objectives))
    confirmation = run.confirmation
    margin = MARGIN if confirmation is None else margin_of(confirmation)
    words = in_words(finalists, run.space, read_failures(run), margin)
    average = finalists[0].average
    if average is not None:
        trial = finalists[0].record.number
        tests = ": --members seeds tests or exports them" if average.gain.mean > 0 else ""
        words.append(f"Trial {trial}, all {average.text}{tests}.")
    together, option = finalists[0].with_reference, ""
    if together is not None:
        words.append(
            f"Trial {finalists[0].record.number} {together.text}: --with-reference tests or exports them together."
        )
        option = " --with-reference" if together.gain.mean > 0 else ""
    compared = compared_with_reference(finalists[0], run.files, dataset, run.space.metric)
    if compared is not None:
        is_corrected = shown_bias(finalists[0].selection_bias) is not None
        corrected = ", corrected for selection bias" if is_corrected else ""
        words.append(f"Against the linear reference, {compared.text}{corrected}.")
    for line in (*words, f"Finalists: {run.files.finalists}"):
        console.print(printable(line), soft_wrap=True)
    console.print(printable(f"Next:      tuner test {where}{option}{modules}"), soft_wrap=True)
    console.print(printable(f"           tuner export {where}{option}{modules}"), soft_wrap=True)
    return 0


def print_plan(run: Run, request: Request) -> None:
    """Prints what a confirmation can show."""
    plan = planned(run, request)
    if plan is not None:
        plain_console().print(printable(plan), soft_wrap=True)


def planned(run: Run, request: Request) -> str | None:
    """The difference that a confirmation can show, before it trains; None where the number of sequences is unknown."""
    ensemble = run.ensemble
    measured = ensemble or run.reference
    best, is_accuracy = run.best, run.space.metric.name is MetricName.VAL_ACCURACY
    if measured is None or best is None or best.score is None or not is_accuracy:
        return None
    candidates = contenders(run.reader.records(), run.objectives)
    finalists = len(best_distinct(candidates, run.space, request.top))
    if min(request.seeds, finalists) < 2:
        return None
    n, clusters = measured.sequences, measured.clusters
    rows, of_others = f"{n:,} sequences", ""
    if clusters == 1:
        clusters, rows = None, f"{rows} of one group"
    elif clusters is not None:
        n = (ensemble.effective if ensemble is not None else None) or clusters
        rows += f" of {clusters:,} texts or groups, which tell as much as {n:,} of their own"
        of_others = " of other texts or groups"
    difference = visible_difference(
        best.score, n=n, seeds=request.seeds, finalists=finalists, clusters=clusters
    )
    return (
        f"{finalists} finalists with {request.seeds} seeds each on {rows}: two are told apart in 4 of 5 cases where "
        f"they differ by about {difference:.3f}; smaller differences need more --seeds or more data{of_others}."
    )


def finalists_table(finalists: list[Finalist], objectives: Objectives) -> RenderableType:
    """One row per finalist, best first, with its cost in the search where that was an objective.

    A narrow screen has fewer columns; rank, trial, mean and interval are always there.
    """
    costs = [str(cost).replace("_", " ") for cost in objectives.costs]
    means = ["mean", "95 % interval"]
    rows = [_cells(rank, each, objectives) for rank, each in enumerate(finalists, start=1)]
    spread = ["seeds", "mean", "sd", "95 % interval"]
    return FirstThatFits(
        [
            RowsOfTable(
                ["rank", "trial", "architecture", *spread, "worse by", "search", *costs], rows
            ),
            RowsOfTable(["rank", "trial", "architecture", *means, "worse by", *costs], rows),
            RowsOfTable(["rank", "trial", *means, "worse by", *costs], rows, ["architecture"]),
            RowsOfTable(["rank", "trial", *means], rows, ["architecture"]),
        ]
    )


def _cells(rank: int, finalist: Finalist, objectives: Objectives) -> dict[str, Text]:
    """The cells of a finalist by the names of their columns."""
    spread, deficit = finalist.spread, finalist.deficit
    cells = {
        "rank": str(rank),
        "trial": str(finalist.record.number),
        "architecture": finalist.record.architecture,
        "seeds": str(len(finalist.members)),
        "mean": score_text(spread.mean),
        "sd": "" if spread.deviation is None else score_text(spread.deviation),
        "95 % interval": f"{score_text(spread.low)} to {score_text(spread.high)}",
        "worse by": "" if deficit is None else f"≤ {score_text(deficit.at_most)}",
        "search": score_text(finalist.record.score),
    }
    for cost in objectives.costs:
        cells[str(cost).replace("_", " ")] = cost_text(finalist.record.cost(cost))
    return {name: printable(cell) for name, cell in cells.items()}


def in_words(
    finalists: list[Finalist],
    space: SearchSpace,
    failures: Sequence[Failure] = (),
    margin: float = MARGIN,
) -> list[str]:
    """Which finalists differ, how large the gap between search and confirmation is, and which trainings failed."""
    lines = [*_compared(finalists, margin), *_corrected(finalists)]
    lines += one_group_lines("confirmation", finalists[0].clusters)
    searched = best_of_search(finalist_rows(finalists), space.metric)
    lines.append(
        f"The finalist that was best in the search, trial {searched.trial}, scored "
        f"{score_text(searched.search_score)} there and {score_text(searched.mean)} here: a gap of {searched.gap_text}."
    )
    return [*lines, *(each.text for each in failures)]


def _compared(finalists: Sequence[Finalist], margin: float) -> list[str]:
    """Which finalists may be the best, and the smallest that is near enough to it."""
    best, *others = finalists
    first = f"Trial {best.record.number} is first"
    if not others:
        return []
    if best.deficit is None:
        return [f"{first}, but one seed cannot show whether it is better: use more --seeds."]
    ties = [str(each.record.number) for each in others if each.may_be_best]
    lines = [
        f"{first}, but {joined(ties)} may be as good: the differences are within chance."
        if ties
        else f"{first}, and better than all others."
    ]
    within = f"at most {number_text(margin)} worse than the best (--margin)"
    near = next((each for each in finalists if each.is_recommended), None)
    if near is not None and (ties or near is not best):
        weights = near.record.weights
        size = "" if weights is None else f", {weights:,} weights"
        shown = f"The smallest that is shown to be {within} is trial {near.record.number}{size}."
        lines.append(shown)
    elif near is None and ties:
        more = "More --seeds or more sequences show smaller differences."
        lines.append(f"None is shown to be {within}. {more}")
    return lines


def _corrected(finalists: Sequence[Finalist]) -> list[str]:
    """How much too good the first mean is, and what the intervals hold for; nothing where that is not to be seen."""
    bias = shown_bias(finalists[0].selection_bias)
    if bias is None or len(finalists) == 1:
        return []
    return [
        f"Its mean is expected to be {bias} too good, because it came first by it "
        "(selection bias); its interval is corrected for that. The others hold for finalists chosen before the "
        "confirmation."
    ]


def choice_lines(chosen: Chosen) -> list[str]:
    """The figures of the models averaged, and a hint where the search has found a better trial since."""
    if chosen.trials is not None:
        return [
            f"The search's own trials, not confirmed: {chosen.trials.ensemble.text}",
            f"({chosen.trials.ensemble.cost_text})",
            *one_group_lines("confirmation", chosen.trials.ensemble.clusters),
        ]
    of_reference, held_out = chosen.of_reference, Split.CONFIRMATION
    if of_reference is not None:
        interval = f"{score_text(of_reference.low)} to {score_text(of_reference.high)}"
        return [
            f"The linear reference alone, no trial of the search: {score_text(of_reference.mean)} (95 % interval "
            f"{interval}) on {count_text(len(chosen.dataset.splits[held_out]), 'confirmation sequence')}",
            *one_group_lines("confirmation", cluster_count(chosen.dataset.clusters_of(held_out))),
        ]
    since, lines = chosen.better_since, []
    if chosen.gains_text is not None:
        lines = [
            chosen.gains_text,
            *one_group_lines("confirmation", chosen.finalists[0].clusters),
        ]
    if since is not None:
        confirm = confirm_command(chosen.run)
        lines.append(f"{since_text(since.number, since.score)} Next: {confirm}")
    return lines


def _calibration_text(error: float | None) -> str:
    name = "expected calibration error"
    is_shown = error is None or error >= 0.00005  # what chance explains was taken off it
    return f"{score_text(error)} ({name})" if is_shown else f"no more than by chance ({name})"


def evaluation_lines(evaluation: RecordedEvaluation) -> list[str]:
    """A test evaluation in words."""
    figures = evaluation.figures
    compared = evaluation.reference
    reference = [] if compared is None else [f"reference  {compared.text}"]
    auc = [] if figures.roc_auc is None else [f"ROC AUC    {score_text(figures.roc_auc)}"]
    left_out = []
    if evaluation.left_out:
        left_out = [
            f"left out   {count_text(evaluation.left_out, 'row')}: seen by the run, or marked as no test row"
        ]
    if evaluation.of_test_split:
        left_out.append(f"of these   {evaluation.of_test_split:,} are in the run's own test split")
    lines = [
        f"model      {'; '.join(evaluation.members)}",
        f"data       {evaluation.data}, {count_text(figures.sequences, 'sequence')}",
        *left_out,
        *_decided(evaluation),
        f"accuracy   {score_text(figures.accuracy)} "
        f"(95 % interval {score_text(figures.low)} to {score_text(figures.high)})",
        *reference,
        f"loss       {score_text(figures.loss)}",
        *auc,
        f"Brier      {score_text(figures.brier)}",
        f"ECE        {_calibration_text(figures.calibration_error)}",
    ]
    if len(figures.classes) > MOST_CLASSES or not figures.confusion:
        lines += _of_many_classes(figures, evaluation.per_class)
    else:
        lines += _of_each_class(figures)
    lines += figures.notes
    if evaluation.before:
        times = "once" if len(evaluation.before) == 1 else f"{len(evaluation.before)} times"
        lines.append(
            f"The same rows were evaluated {times} before, first on {evaluation.before[0]}: they do not test "
            "a model fairly that was chosen by those figures."
        )
    if evaluation.others:
        lines.append(others_text(evaluation.others))
    return lines


def _decided(evaluation: RecordedEvaluation) -> list[str]:
    """The threshold between two classes, where it is not 0.5."""
    if evaluation.threshold is None:
        return []
    second = list(evaluation.figures.classes)[1]
    return [f"threshold  {evaluation.threshold:g}, above which a sequence is labelled {second}"]


def _of_many_classes(figures: EvaluationFigures, file: str | None) -> list[str]:
    """The mean over classes, and the worst of them."""
    names = figures.by_f1
    count = figures.n_classes or len(names)
    of_classes = f"{count:,} classes"
    if figures.n_occurring is not None and figures.n_occurring < count:
        of_classes = f"the {figures.n_occurring:,} classes that occur, of {count:,}"
    lines = [
        f"macro F1   {score_text(figures.macro_f1)} of {of_classes}; those of lowest F1:",
        *(_class_text(name, figures.classes[name]) for name in names[:_SHOWN_CLASSES]),
    ]
    return lines if file is None else [*lines, f"All classes: {file}"]


def _of_each_class(figures: EvaluationFigures) -> list[str]:
    lines = []
    for number, (name, each) in enumerate(figures.classes.items()):
        called = ", ".join(
            f"{count} {other}"
            for other, count in zip(figures.classes, figures.confusion[number], strict=True)
            if count or len(figures.classes) <= _SHOWN_CLASSES
        )
        lines.append(f"{_class_text(name, each)}; of {each.count} called {called}")
    return lines


def _class_text(name: str, each: ClassFigures) -> str:
    return (
        f"{name}: precision {score_text(each.precision)}, recall {score_text(each.recall)}, "
        f"F1 {score_text(each.f1)}"
    )
