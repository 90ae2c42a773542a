"""A run, read for a report: missing files are empty values, damaged ones are refused in one line."""

import pytest
from support.run_files import MakeRun, write_finalists, write_run_file, write_tests

from tuner.errors import RunFolderError, UsageError
from tuner.report.reading import Reading, read_run, read_runs
from tuner.run import Run
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
