"""The report in words."""

import dataclasses
from datetime import datetime
from pathlib import Path

import pytest
from support.ensembles import RECORD
from support.run_files import SCRIPT, MakeRun, record, write_finalists, write_run_file, write_tests
from support.studies import metrics, open_study

from tuner.report import summary, tables
from tuner.report.figure_list import figures_of
from tuner.report.markdown import markdown
from tuner.report.page import page
from tuner.report.reading import Reading, read_run, read_runs
from tuner.report.tiles import tiles
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.ensemble import EnsembleWithReference
from tuner.run.evaluations import LINEAR_REFERENCE, ReferenceFigures, read_test_log
from tuner.run.folder import RunFolder
from tuner.run.ledger import OtherEvaluation
from tuner.run.reference_record import Comparison, ReferenceRecord
from tuner.run.score_errors import ValidationRows
from tuner.run.train_on import TrainOn
from tuner.settings.config import make_config
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace


def text_of(reading: Reading) -> str:
    return " ".join(summary.in_words(reading))


def test_the_summary_has_the_search_its_length_and_the_best(make_run: MakeRun) -> None:
    folder = make_run((0.6,), (0.7, 0.8), None)
    write_run_file(folder, data={"source": "reviews.csv"})
    text = text_of(read_run(Run(folder.path), "mine"))
    assert "Searched 3 parameters of 2 architectures in the space small on reviews.csv" in text
    assert "3 trials in 1m of searching: 2 complete, 1 failed." in text
    assert "The best is trial 1" in text
    assert "with 0.8000 in epoch 2 of 2" in text


def test_the_summary_tells_of_trials_from_a_narrower_space(make_run: MakeRun) -> None:
    run = Run(make_run((0.6,), (0.7, 0.8)).path)
    assert "narrower" not in text_of(read_run(run, "mine"))
    run.study.set_user_attr(Attribute.NARROWER, 2)
    text = text_of(read_run(run, "mine"))
    assert "The search was widened: its first 2 trials were drawn from a narrower space." in text


def test_an_unconfirmed_best_comes_with_a_warning(some: Reading) -> None:
    assert "not confirmed. The top of a leaderboard looks better than it is" in text_of(some)
    assert f"`tuner confirm {some.folder.path}`" in text_of(some)


def test_the_searchs_own_ensemble_has_a_sentence_and_a_tile(some: Reading) -> None:
    assert "averaged" not in text_of(some)
    averaged = dataclasses.replace(some, ensemble=RECORD)
    text = text_of(averaged)
    assert f"averaged, without further training: {RECORD.text}, which chose none of them." in text
    assert f"`tuner export {some.folder.path} --members trials` writes them as one model." in text
    (tile,) = (tile for tile in tiles(averaged) if tile.name == "3 trials averaged")
    assert (tile.value, tile.remark) == (
        "0.7400",
        "95 % interval 0.7100 to 0.7700, trial 7 alone 0.7270",
    )
    single = RECORD.model_copy(update={"members": (7,)})
    assert text_of(dataclasses.replace(some, ensemble=single)) == text_of(some)
    figures = {"averaged": 0.75, "low": 0.7, "high": 0.8, "gain": 0.01}
    together = EnsembleWithReference(weight=0.5, gain_low=0.0, gain_high=0.02, weights=9, **figures)
    both = single.model_copy(update={"with_reference": together})
    assert (
        f"The search's best trial, without further training: {both.trials_text}, which did not choose it. And with "
        in text_of(dataclasses.replace(some, ensemble=both))
    )


def test_the_reference_has_a_sentence_for_itself_and_one_for_each_comparison(some: Reading) -> None:
    worse = Comparison(name="trial 7", gain=-0.02, low=-0.03, high=-0.01)
    record = ReferenceRecord(
        sequences=850, score=0.78, low=0.75, high=0.81, majority=0.5, seconds=3.2, compared=(worse,)
    )
    assert "To compare with" not in text_of(some)
    text = text_of(dataclasses.replace(some, reference=record))
    assert f"To compare with: {record.text}. Against it, {worse.text}." in text


def test_what_scores_differ_by_has_a_sentence_once_enough_trials_are_complete(
    some: Reading, make_run: MakeRun
) -> None:
    (line,) = (
        line for line in summary.in_words(some) if line.startswith("Why the scores of the 20 ")
    )
    assert "(standard deviations): configurations " in line
    assert " points. Twice as many trials would improve the best score by about " in line

    few = read_run(Run(make_run(*[(0.5,)] * 3, name="few").path), "few")
    assert not any(line.startswith("Why the scores") for line in summary.in_words(few))


def test_finalists_give_interval_ties_and_optimism_gap(make_run: MakeRun) -> None:
    folder = make_run((0.9,))
    write_finalists(folder, (0, 0.86, False), (3, 0.85, True), (4, 0.84, True))
    text = text_of(read_run(Run(folder.path), "mine"))
    assert (
        "first with 0.8600, 95 % interval 0.8400 to 0.8800 of a finalist chosen before the confirmation"
        in text
    )
    assert "Trials 3 and 4 may be as good" in text
    assert "a gap of 0.0400." in text


def test_of_one_seed_each_nothing_is_claimed_of_the_other_finalists(make_run: MakeRun) -> None:
    folder = make_run((0.9,))
    write_finalists(folder, (0, 0.86, False), (3, 0.7, True), seeds=1)
    text = text_of(read_run(Run(folder.path), "mine"))
    assert " One seed cannot show whether it is better: use more --seeds. The finalist" in text
    assert "level of 5 %" not in text


def test_the_gap_is_that_of_the_finalist_that_the_search_scored_best(make_run: MakeRun) -> None:
    folder = make_run((0.7,), (0.9,), (0.8,), (0.95,))  # trial 3 was found after the confirmation
    write_finalists(folder, (2, 0.82, False), (1, 0.78, True))
    rows = folder.finalists.read_text(encoding="utf-8").replace(
        "2,lstm,5,0.82,,0.8000,0.8400,0.9,0.0800", "2,lstm,5,0.82,,0.8000,0.8400,0.8,-0.0200"
    )
    folder.finalists.write_text(rows, encoding="utf-8")
    text = text_of(read_run(Run(folder.path), "mine"))
    assert "trial 1, scored 0.9000 there and 0.7800 when confirmed" in text
    assert "a gap of 0.1200." in text


def test_the_best_is_measured_against_each_baseline(make_run: MakeRun) -> None:
    table = tables.baselines(read_run(Run(make_run((0.6,), (0.75,)).path), "mine"))
    assert table is not None
    assert table.rows == (("lstm", "0", "0.6000", "+15.00 points", "1"),)
    alone = tables.baselines(read_run(Run(make_run((0.6,), name="alone").path), "alone"))
    assert alone is not None
    assert alone.rows[0][3] == "is the best"


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (
            Cost.WEIGHTS,
            "0.9000 with 1,003 weights (trial 3) to 0.6000 with 1,000 weights (trial 0).",
        ),
        (Cost.SECONDS_PER_EPOCH, "1 trial on the front: 0.9000 with 2 s per epoch (trial 3)."),
    ],
)
def test_a_summary_of_two_objectives_names_the_ends_of_the_front(
    make_run: MakeRun, cost: Cost, text: str
) -> None:
    reading = read_run(Run(make_run((0.6,), (0.7,), (0.65,), (0.9,), cost=cost).path), "mine")
    assert text in text_of(reading)
    assert "pareto" in reading.board
    assert len(figures_of([reading])) == 6  # four trials are too few for importance


def test_times_on_different_shares_of_gpus_are_not_compared(some: Reading) -> None:
    assert "GPU" not in text_of(some)
    records = [
        record(0, device="NVIDIA H100, 1/14"),
        record(1, device="NVIDIA H100, 1/7 (no cuDNN)"),
        record(2, device="cpu"),
    ]
    text = text_of(dataclasses.replace(some, records=records))
    assert (
        "Trials had 2 different shares of GPUs (NVIDIA H100, 1/14; NVIDIA H100, 1/7): their seconds per epoch are "
        "comparable only within one of these." in text
    )
    assert "1 trial could not use cuDNN" in text


def test_failures_are_counted_by_reason(make_run: MakeRun) -> None:
    table = tables.failures(read_run(Run(make_run((0.6,), *[None] * 11).path), "mine"))
    assert table is not None
    assert [row[:3] for row in table.rows] == [("failed", "11", "it broke")]
    assert table.rows[0][4] == "1, 2, 3, 4, 5, 6, 7, 8 and 3 more"
    assert tables.failures(read_run(Run(make_run((0.6,), name="fine").path), "fine")) is None


def test_the_command_runs_it_again_under_another_name(make_run: MakeRun) -> None:
    folder = make_run((0.6,), (0.7,), name="my run")
    assert summary.commands(read_run(Run(folder.path), "mine")) == []
    write_run_file(folder)
    write_finalists(folder, (0, 0.86, False))
    write_tests(folder)
    search, confirm, test = summary.commands(read_run(Run(folder.path), "mine"))
    assert search.startswith("tuner search --config '/")
    assert search.endswith("/run.yaml' --out runs --name my-run-again --trials 2")
    assert confirm == "tuner confirm runs/my-run-again --top 1 --seeds 5"
    assert test == "tuner test runs/my-run-again"
    reading = read_run(Run(folder.path), "mine")
    both = dataclasses.replace(reading, trained_on=TrainOn.BOTH, margin=0.02)
    options = "--train-on train+validation --margin 0.02"
    assert summary.commands(both)[1] == f"{confirm} {options}"


@pytest.mark.parametrize(
    ("folder", "name"),
    [("a2 (copy)", "a2-copy-again"), ("_x", "x-again"), ("ä" * 120, "run-again")],
)
def test_the_repeated_run_has_a_name_that_a_run_can_have(
    make_run: MakeRun, folder: str, name: str
) -> None:
    made = make_run((0.6,), name="mine")
    write_run_file(made)
    reading = read_run(Run(made.path), "mine")
    other = dataclasses.replace(reading, folder=RunFolder(made.path.with_name(folder)))
    assert f" --name {name} --trials" in summary.commands(other)[0]
    assert make_config({"space": "seed", "name": name}).run_name == name


def test_interrupted_tries_are_no_trials(make_run: MakeRun, space: SearchSpace) -> None:
    folder = make_run((0.6,), None)
    study = open_study(folder.journal, space)
    for epochs in (0, 1):
        trial = study.ask()
        space.suggest(trial)
        for epoch in range(epochs):
            study.report(trial, epoch + 1, metrics(0.5))
    study.requeue_interrupted_trials()
    space.suggest(study.ask())  # its search was killed
    reading = read_run(Run(folder.path), "mine")
    assert "2 trials in 1m of searching: 1 complete, 1 failed; 3 interrupted." in text_of(reading)
    (tile,) = (tile for tile in tiles(reading) if tile.name == "trials")
    assert (tile.value, tile.remark) == ("2", "1 complete, 1 failed; 3 interrupted")
    table = tables.failures(reading)
    assert table is not None
    assert {row[0] for row in table.rows} == {"failed", "interrupted"}
    assert ("interrupted", "1", "its search died") in [row[:3] for row in table.rows]
    going_on = dataclasses.replace(reading, is_running=True)
    assert "3 trials in 1m" in text_of(going_on)
    assert "; 2 interrupted. The search is still running" in text_of(going_on)
    assert "1 running" in text_of(going_on)


def test_without_a_score_the_reference_and_the_tests_are_told(make_run: MakeRun) -> None:
    folder = make_run(None)
    write_tests(folder)
    record = ReferenceRecord(
        sequences=850, score=0.78, low=0.75, high=0.81, majority=0.5, seconds=3.2
    )
    reading = dataclasses.replace(read_run(Run(folder.path), "mine"), reference=record)
    text = text_of(reading)
    assert f"No trial reached a score. To compare with: {record.text}." in text
    assert text.endswith("accuracy 0.8000, 95 % interval 0.7000 to 0.9000.")
    assert "How sure" not in text


def test_the_page_tells_tests_of_one_model_apart(make_run: MakeRun) -> None:
    folder = make_run((0.6,))
    write_tests(folder)
    reading = read_run(Run(folder.path), "mine")
    (plain,) = reading.tests
    figures = ReferenceFigures(accuracy=0.82, gain=-0.02, low=-0.05, high=0.01)
    moved = plain.model_copy(update={"threshold": 0.178, "reference": figures})
    written = page([dataclasses.replace(reading, tests=(plain, moved))], datetime(2026, 11, 28))
    assert f"<p>{summary.tested(plain)}</p>" in written
    assert written.count("trial 7, seed 1 with the threshold 0.178: accuracy 0.8000") >= 2
    assert f"Reference: {figures.text}.</p>" in written


def test_runs_on_other_rows_are_compared_with_a_warning(make_run: MakeRun) -> None:
    folders = [make_run((0.6,), name=name) for name in ("a", "b")]
    for folder, data in zip(folders, ("1", "2"), strict=True):
        write_run_file(folder, fingerprint={"data": data})
    readings = read_runs([str(folder.path) for folder in folders])
    assert "not scored on the same rows" in summary.warnings_of_comparison(readings)[0]
    assert summary.warnings_of_comparison([readings[0], readings[0]]) == []
    assert [row[0] for row in tables.compared(readings).rows] == ["a", "b"]


def test_where_validation_rotates_scores_are_of_other_rows(
    some: Reading, make_run: MakeRun
) -> None:
    run = Run(make_run((0.6,), name="rotated").path)
    ValidationRows(100, parts=8).record(run.study)
    rotated = read_run(run, "rotated")
    text = text_of(rotated)
    assert "score is its best epoch's validation accuracy on one of 8 parts of the rows, by" in text
    (warning,) = summary.warnings_of_comparison([some, rotated])
    assert "not scored on the same rows" in warning


def test_markdown_has_tables_and_no_markup_from_users_data(hostile: RunFolder) -> None:
    text = markdown([read_run(Run(hostile.path), "hostile")])
    assert SCRIPT not in text
    assert r"\<script\>alert(1)\</script\>" in text
    assert "## Failures" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_markdown_of_several_runs_compares_them(some: Reading, make_run: MakeRun) -> None:
    other = read_run(Run(make_run((0.6,), name="other").path), "other")
    text = markdown([some, other])
    assert text.startswith("# 2 runs\n\n| run | data |")
    assert "## other" in text


def test_a_test_evaluation_is_told_with_the_reference_and_other_runs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_tests(folder)
    (evaluation,) = read_test_log(folder)
    plain = summary.tested(evaluation)
    assert plain.endswith("accuracy 0.8000, 95 % interval 0.7000 to 0.9000.")
    moved = summary.tested(evaluation.model_copy(update={"threshold": 0.178}))
    assert moved == plain.replace(": accuracy", " with the threshold 0.178: accuracy")
    more = {
        "reference": ReferenceFigures(accuracy=0.82, gain=-0.02, low=-0.05, high=0.01),
        "others": (OtherEvaluation(run="quick", opened="2026-11-01T10:00:00+00:00"),),
    }
    told = summary.tested(evaluation.model_copy(update=more))
    assert told.startswith(f"{plain} Reference: 0.8200, linear model on n-grams; the tested one")
    assert "were evaluated once by other runs of yours (quick)" in told


def test_the_tested_model_is_named_and_the_reference_alone_does_not_stand_for_it(
    some: Reading, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path)
    write_tests(folder)
    (evaluation,) = read_test_log(folder)
    models = evaluation.model_copy(
        update={"members": ("trial 8, seed 3", "trial 8, seed 4", "trial 2, seed 3")}
    )
    alone = evaluation.model_copy(update={"members": (LINEAR_REFERENCE,)})
    reading = dataclasses.replace(some, tests=(models, alone))
    assert summary.shown_test(reading) == models
    assert "), trial 8, seed 3 averaged with 2 others: accuracy 0.8000" in text_of(reading)
    (tile,) = (each for each in tiles(reading) if each.name == "tested accuracy")
    assert tile.remark.endswith(", trial 8, seed 3 averaged with 2 others")
    assert summary.shown_test(dataclasses.replace(some, tests=(alone,))) == alone
