"""Finalists on the terminal: which one is best, how sure that is, and the gap to its score in the search."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from support.ensembles import RECORD
from support.golden import golden_run

from tuner.finalists.finalist import ModelFile, finalists_of
from tuner.finalists.request import Request
from tuner.finalists.testing import figures_of
from tuner.report import summary
from tuner.run import Run, evaluations
from tuner.run.attributes import Attribute
from tuner.run.ended_trainings import Failure
from tuner.run.records import TrialRecord
from tuner.run.reference_record import ReferenceRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.metric import Metric
from tuner.settings.objectives import Cost, MetricAlone, MetricAndCost, Objectives
from tuner.settings.space import SearchSpace
from tuner.terminal.finalists import evaluation_lines, finalists_table, in_words, planned

Trained = tuple[TrialRecord, tuple[ModelFile, ...], np.ndarray]


def finalist(
    number: int, *accuracies: float, searched: float = 0.9, weights: int = 1234
) -> Trained:
    """One whose seeds are right on the first so many of 1,000 sequences."""
    record = TrialRecord(
        number=number,
        status=TrialStatus.COMPLETE,
        architecture="lstm",
        parameters={},
        curve={},
        best_epoch=2,
        score=searched,
        baseline=False,
        retry_of=None,
        seed=0,
        host="h",
        device="cpu",
        weights=weights,
        started=None,
        ended=None,
        error=None,
    )
    scores = np.array([np.arange(1000) < 1000 * each for each in accuracies], dtype=float)
    members = tuple(ModelFile(seed, Path("x"), each) for seed, each in enumerate(accuracies))
    return record, members, scores


def words(*trained: Trained, space: SearchSpace, margin: float = 0.005) -> list[str]:
    finalists = finalists_of(trained, space.metric, margin, n_validation=1000)
    return in_words(finalists, space, margin=margin)


def test_a_clear_winner_is_reported(space: SearchSpace) -> None:
    lines = words(finalist(3, 0.85, 0.86), finalist(7, 0.75, 0.74), space=space)
    assert lines[0] == "Trial 3 is first, and better than all others."
    assert not any("selection bias" in line for line in lines)  # of 0.0000
    assert len(lines) == 2


def test_a_smaller_one_that_is_near_enough_is_named_although_the_first_is_better(
    space: SearchSpace,
) -> None:
    trained = [finalist(3, 0.85, 0.86), finalist(7, 0.75, 0.74, weights=900)]
    first, near, *_ = words(*trained, space=space, margin=0.2)
    assert first == "Trial 3 is first, and better than all others."
    assert near.endswith("worse than the best (--margin) is trial 7, 900 weights.")


def test_those_that_may_be_as_good_are_named_and_the_smallest_that_is_near_enough(
    space: SearchSpace,
) -> None:
    trained = [
        finalist(3, 0.85, 0.86),
        finalist(7, 0.85, 0.855, weights=900),
        finalist(1, 0.856, 0.849),
        finalist(9, 0.6, 0.61, weights=5),
    ]
    first, near, corrected, _ = words(*trained, space=space, margin=0.03)
    assert (
        first == "Trial 3 is first, but 1 and 7 may be as good: the differences are within chance."
    )
    assert near == (
        "The smallest that is shown to be at most 0.03 worse than the best (--margin) is trial 7, 900 weights."
    )
    assert 0.001 < float(corrected.split()[6]) < 0.01
    _, nobody, *_ = words(*trained, space=space)
    assert nobody == (
        "None is shown to be at most 0.005 worse than the best (--margin). More --seeds or more sequences show smaller "
        "differences."
    )


def test_finalists_that_predict_the_same_on_few_sequences_are_not_shown_to_be_near(
    space: SearchSpace,
) -> None:
    few = [
        (record, members, scores[:, :20])
        for record, members, scores in (finalist(number, 0.01, 0.01) for number in (3, 7))
    ]
    _, nobody, *_ = words(*few, space=space)
    assert nobody.startswith("None is shown to be at most 0.005 worse than the best")


def test_with_one_seed_nothing_is_claimed(space: SearchSpace) -> None:
    lines = words(finalist(3, 0.9), finalist(7, 0.5), space=space)
    assert lines[0].startswith("Trial 3 is first, but one seed cannot show whether")


def test_of_one_finalist_only_its_gap_is_shown(space: SearchSpace) -> None:
    (line,) = words(finalist(3, 0.85, 0.87, searched=0.9), space=space)
    assert line.startswith(
        "The finalist that was best in the search, trial 3, scored 0.9000 there and 0.8600 here: a gap of 0.0400 "
        "(standard error 0.01"
    )
    (line,) = words(finalist(3, 0.85, 0.87, searched=0.8), space=space)
    assert "a gap of -0.0600 (standard error" in line


def test_the_gap_is_split_where_fresh_seeds_were_validated(space: SearchSpace) -> None:
    record, members, scores = finalist(3, 0.85, 0.87, searched=0.9)
    validated = tuple(
        dataclasses.replace(each, validated=score)
        for each, score in zip(members, (0.88, 0.89), strict=True)
    )
    (line,) = words((record, validated, scores), space=space)
    # The deviation of 0.88 and 0.89 is 0.0071, that of their mean 0.005.
    assert (
        "of which 0.0150 (0.0050) is that of its seed and of having been chosen, 0.0250 (0.01"
        in line
    )


def test_the_gap_is_that_of_the_searchs_best_also_where_less_is_better(space: SearchSpace) -> None:
    lower = space.model_copy(update={"metric": Metric(name="val_loss", mode="min")})
    trained = [finalist(3, 0.3, 0.3, searched=0.4), finalist(7, 0.5, 0.5, searched=0.2)]
    assert words(*trained, space=lower)[-1].startswith(
        "The finalist that was best in the search, trial 7, scored 0.2000 there and 0.5000 here: a gap of 0.3000 "
    )


def test_trainings_without_a_model_are_reported(space: SearchSpace) -> None:
    failures = [Failure(7, 2, 5, "diverged: loss became nan in epoch 1")]
    finalists = finalists_of([finalist(3, 0.85, 0.86)], space.metric, n_validation=1000)
    assert in_words(finalists, space, failures)[-1] == (
        "Trial 7: 2 of 5 seeds gave no model and are not part of these figures (diverged: loss became nan in epoch 1)."
    )


BY_SCORE = MetricAlone(Metric())


def shown(*trained: Trained, objectives: Objectives = BY_SCORE, width: int = 120) -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    console.print(finalists_table(finalists_of(trained, Metric(), n_validation=1000), objectives))
    return console.export_text()


def test_the_table_has_the_cost_of_a_search_by_two_objectives() -> None:
    alone = shown(finalist(3, 0.85, 0.87))
    assert "0.8600" in alone
    assert "0.0141" in alone  # the deviation
    assert "1,234" not in alone
    assert "1,234" in shown(
        finalist(3, 0.85, 0.87), objectives=MetricAndCost(Metric(), Cost.WEIGHTS)
    )


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_narrow_screen_cuts_no_figure_of_a_finalist(width: int) -> None:
    text = shown(finalist(117, 0.85, 0.87), finalist(3, 0.81, 0.84), width=width)
    assert {"rank", "trial", "117", "3", "lstm", "0.8600", "0.8250"} <= {*text.split()}
    assert "0.8160 to 0.8906" in text
    assert "…" not in text
    assert ("≤ 0.0856" in text) is (width >= 60)


@pytest.mark.parametrize(
    ("before", "start"),
    [
        ((), None),
        (("2026-11-01",), "The same rows were evaluated once before, first on 2026-11-01"),
        (
            ("2026-11-01", "2026-11-02"),
            "The same rows were evaluated 2 times before, first on 2026-11-01",
        ),
    ],
)
def test_an_evaluation_names_earlier_ones(before: tuple[str, ...], start: str | None) -> None:
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    figures = figures_of(probabilities, np.array([1, 1], np.int32), ("no", "yes"))
    evaluation = evaluations.RecordedEvaluation(
        opened="now",
        data="the test split",
        members=("trial 3, seed 5",),
        figures=figures,
        before=before,
    )
    lines = evaluation_lines(evaluation)
    assert "accuracy   0.5000" in "\n".join(lines)
    assert "yes: precision 1.0000, recall 0.5000, F1 0.6667; of 2 called 1 no, 1 yes" in lines
    assert [line for line in lines if "evaluated" in line] == (
        [] if start is None else [next(line for line in lines if line.startswith(start))]
    )


def test_an_evaluation_names_a_threshold_that_is_not_the_even_one() -> None:
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    figures = figures_of(probabilities, np.array([1, 1], np.int32), ("no", "yes"), threshold=0.05)
    evaluation = evaluations.RecordedEvaluation(
        opened="now", data="the test split", members=(), figures=figures, threshold=0.05
    )
    lines = evaluation_lines(evaluation)
    assert "threshold  0.05, above which a sequence is labelled yes" in lines
    assert "accuracy   1.0000" in "\n".join(lines)


def test_a_calibration_error_of_chance_is_called_that() -> None:
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    for labels, off in (([1, 0], "0.1500"), ([1, 1], "no more than by chance")):
        figures = figures_of(probabilities, np.array(labels, np.int32), ("no", "yes"))
        evaluation = evaluations.RecordedEvaluation(
            opened="now", data="the test split", members=(), figures=figures
        )
        lines = evaluation_lines(evaluation)
        assert f"ECE        {off} (expected calibration error)" in lines


@pytest.mark.parametrize(("clusters", "told"), [([3, 3], 1), ([3, 4], 0), (None, 0)])
def test_that_all_tested_rows_are_of_one_group_is_told(
    clusters: list[int] | None, told: int
) -> None:
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]], np.float32)
    of = None if clusters is None else np.array(clusters)
    figures = figures_of(probabilities, np.array([1, 1], np.int32), ("no", "yes"), of)
    evaluation = evaluations.RecordedEvaluation(
        opened="now", data="the test split", members=(), figures=figures
    )
    note = "All tested rows are of one group: their intervals hold for further rows of this group, not "
    lines = [line for line in evaluation_lines(evaluation) if line.startswith(note)]
    assert len(lines) == summary.tested(evaluation).count(note) == told


def test_a_confirmation_tells_beforehand_which_difference_it_can_show(tmp_path: Path) -> None:
    run = golden_run("small", tmp_path)
    assert (
        planned(run, Request()) is None
    )  # an earlier version did not record the number of sequences
    known = ReferenceRecord(
        sequences=2500, score=0.9, low=0.89, high=0.91, majority=0.5, seconds=3.0, compared=()
    )
    run.study.set_user_attr(Attribute.REFERENCE, known.model_dump(mode="json"))
    run = Run(run.folder)
    line = planned(run, Request(top=2))
    assert line is not None
    assert line.startswith(
        "2 finalists with 5 seeds each on 2,500 sequences: two are told apart in"
    )
    scored = [record for record in run.reader.records() if record.ranked_score is not None]
    assert len(scored) < 50
    assert f"{len(scored)} finalists with" in str(planned(run, Request(top=50)))
    assert planned(run, Request(seeds=1)) is None


def test_copies_and_rows_of_groups_let_a_confirmation_show_less(tmp_path: Path) -> None:
    run = golden_run("small", tmp_path)

    def plan(**figures: Any) -> tuple[str, float]:
        """The plan after a search with an ensemble that recorded these, and the difference in it."""
        run.study.set_user_attr(
            Attribute.ENSEMBLE, RECORD.model_copy(update=figures).model_dump(mode="json")
        )
        line = str(planned(Run(run.folder), Request(top=2)))
        return line, float(line.partition("differ by about ")[2][:5])

    _, of_rows = plan(sequences=2500)
    line, of_groups = plan(sequences=2500, clusters=100, effective=250)
    assert (
        "on 2,500 sequences of 100 texts or groups, which tell as much as 250 of their own:" in line
    )
    assert line.endswith(
        "smaller differences need more --seeds or more data of other texts or groups."
    )
    assert of_groups > 2 * of_rows
    assert plan(sequences=250)[1] == pytest.approx(
        of_groups, abs=0.002
    )  # many would have more degrees
    line, unmeasured = plan(sequences=2500, clusters=100)
    assert "which tell as much as 100 of their own" in line
    assert unmeasured > of_groups
    line, of_one = plan(sequences=2500, clusters=1)
    assert "on 2,500 sequences of one group: two are told apart" in line
    assert of_one == of_rows
