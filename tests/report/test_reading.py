"""A run, read for a report: missing files are empty values, damaged ones are refused in one line."""

import optuna
import pytest
from optuna.trial import TrialState
from support.run_files import MakeRun, write_finalists, write_run_file, write_tests

from tuner.errors import RunFolderError, UsageError
from tuner.report import summary
from tuner.report.reading import Reading, read_run, read_runs
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.journal import CONFIRMATION
from tuner.run.requested_trainings import RequestedTraining, record_margin, record_request
from tuner.run.train_on import TrainOn
from tuner.settings.space import SearchSpace


def test_a_folder_with_a_study_only_is_enough(some: Reading) -> None:
    assert (some.data, some.recorded.versions) == ("", {})
    assert (some.finalists, some.tests) == ((), ())
    assert some.best is not None
    assert some.best.number == some.board["trial"].iloc[0]


def test_finalists_tests_and_settings_are_read(make_run: MakeRun) -> None:
    folder = make_run((0.6,))
    write_run_file(folder, data={"source": "reviews.csv", "sample": 2000})
    write_finalists(folder, (0, 0.58, False), (3, 0.57, True))
    write_tests(folder)
    reading = read_run(Run(folder.path), "mine")
    assert reading.data == "reviews.csv (a sample of 2,000 rows)"
    assert [each.tie_with_best for each in reading.finalists] == [False, True]
    assert reading.tests[0].figures.confusion == ((35, 15), (5, 45))


def test_the_finalists_are_of_the_last_confirmation_that_ended(make_run: MakeRun) -> None:
    run = Run(make_run((0.6,)).path)
    write_run_file(run.files)
    write_finalists(run.files, (0, 0.58, False))
    study = optuna.create_study(storage=run.storage, study_name=CONFIRMATION, direction="maximize")
    asked = [RequestedTraining(0, seed, None, TrainOn.TRAIN) for seed in (1, 2)]
    record_request(study, asked)
    record_margin(study, 0.02)
    for each in asked:
        study.enqueue_trial({}, user_attrs=each.attributes)
        trial = study.ask()
        trial.set_user_attr(Attribute.STATUS, "diverged")
        trial.set_user_attr(Attribute.ERROR, "loss became nan")
        study.tell(trial, state=TrialState.FAIL)
    record_request(study, [RequestedTraining(0, 1, 3, TrainOn.BOTH)])  # and was interrupted
    reading = read_run(Run(run.folder), "mine")
    lost = "Trial 0: 2 of 2 seeds gave no model and are not part of these figures (diverged: loss"
    assert any(lost in line for line in summary.in_words(reading))
    assert summary.commands(reading)[1].endswith("--top 1 --seeds 5 --margin 0.02")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("finalists.csv", "rank,trial\n1,2\n", "damaged .*; remove it and type: tuner confirm"),
        ("finalists.csv", "", "damaged"),
        ("tests.yaml", "openings: [{figures: {}}]\n", "damaged .*; move it away"),
        ("tests.yaml", "openings: 3\n", "damaged"),
        ("run.yaml", "a: [\n", "run.yaml"),
    ],
)
def test_a_damaged_file_is_named(make_run: MakeRun, name: str, content: str, message: str) -> None:
    folder = make_run((0.6,))
    (folder.path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RunFolderError, match=message):
        read_run(Run(folder.path), "mine")


def test_labels_are_names_and_paths_where_two_share_one(make_run: MakeRun) -> None:
    one, other = make_run((0.6,), name="a/same"), make_run((0.6,), name="b/same")
    third = make_run((0.6,), name="third")
    paths = [str(folder.path) for folder in (one, other, third)]
    readings = read_runs([*paths, f"{paths[2]}/"])
    assert [reading.label for reading in readings] == [paths[0], paths[1], "third"]


def test_runs_of_different_metrics_are_not_compared(make_run: MakeRun, space: SearchSpace) -> None:
    loss = space.model_copy(
        update={"metric": type(space.metric).model_validate({"name": "val_loss", "mode": "min"})}
    )
    paths = [
        str(make_run((0.6,)).path),
        str(make_run((0.6,), name="b", space=loss).path),
    ]
    with pytest.raises(UsageError, match=r"val_accuracy, val_loss.*name runs of one metric"):
        read_runs(paths)
