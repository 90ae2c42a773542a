"""`finalists.csv`: the rows that are written are the rows that are read."""

import codecs
from collections.abc import Mapping
from pathlib import Path

import pytest

from tuner.errors import RunFolderError
from tuner.run.csv_text import write_csv
from tuner.run.finalists_file import FinalistRow, best_of_search, frame_of, read_finalists_file
from tuner.run.folder import RunFolder
from tuner.settings.metric import Metric, MetricName, Mode

ROW = FinalistRow(
    rank=1,
    trial=6,
    architecture="mine:build",
    seeds=2,
    mean=0.6,
    deviation=0.035355,
    low=0.487335,
    high=0.712665,
    search_score=0.5875,
    optimism=-0.0125,
    tie_with_best=False,
    worse_at_least=0.0,
    worse_at_most=0.0125,
    recommended=True,
    selection_bias=0.003,
    gap_error=0.009,
)


def test_written_content_reads_back_the_same(tmp_path: Path) -> None:
    rows = (ROW, ROW.model_copy(update={"rank": 2, "deviation": None, "tie_with_best": True}))
    frame = frame_of(rows, [{"lstm_units": 5}, {"filters": 6}], ["lstm_units", "filters"])
    write_csv(frame, RunFolder(tmp_path).finalists)
    assert read_finalists_file(RunFolder(tmp_path)) == rows
    header, first, _ = RunFolder(tmp_path).finalists.read_text(encoding="utf-8").splitlines()
    assert header.endswith(
        "tie_with_best,worse_at_least,worse_at_most,recommended,selection_bias,"
        "gap_error,gap_of_selection,gap_of_selection_error,gap_of_rows,gap_of_rows_error,"
        "averaged,averaged_gain,averaged_gain_low,averaged_gain_high,clusters,with_reference,"
        "with_reference_gain,with_reference_gain_low,with_reference_gain_high,reference_weight,"
        "lstm_units,filters"
    )
    assert first.endswith("-0.0125,False,0,0.0125,True,0.003,0.009,,,,,,,,,,,,,,,5,")


def test_a_file_of_an_earlier_version_has_fewer_columns(tmp_path: Path) -> None:
    frame = frame_of((ROW,), [{}], [])
    earlier = frame.drop(columns=[name for name in frame.columns if "reference" in name])
    assert len(earlier.columns) == len(frame.columns) - 5
    write_csv(earlier, RunFolder(tmp_path).finalists)
    (row,) = read_finalists_file(RunFolder(tmp_path))
    assert row == ROW
    assert row.with_reference_text is None


def test_the_linear_reference_as_a_member_has_words() -> None:
    figures = {"with_reference_gain_low": 0.004, "with_reference_gain_high": 0.028}
    row = ROW.model_copy(
        update={
            **figures,
            "with_reference": 0.616,
            "with_reference_gain": 0.016,
            "reference_weight": 0.75,
        }
    )
    assert row.with_reference_text == (
        "with the linear reference (three quarters of the average) 0.6160, gain over its mean +0.0160 "
        "(95 % interval +0.0040 to +0.0280)"
    )


def test_parameters_of_an_own_architecture_may_be_called_as_its_columns(tmp_path: Path) -> None:
    frame = frame_of((ROW,), [{"mean": 7, "clusters": 3}], ["mean", "clusters"])
    write_csv(frame, RunFolder(tmp_path).finalists)
    assert read_finalists_file(RunFolder(tmp_path)) == (ROW,)
    assert frame[["parameter mean", "parameter clusters"]].iloc[0].tolist() == [7, 3]


@pytest.mark.parametrize(
    ("metric", "scores", "best"),
    [
        (Metric(), {5: 0.8, 7: 0.9, 2: 0.7}, 7),
        (Metric(name=MetricName.VAL_LOSS, mode=Mode.MIN), {5: 0.8, 7: 0.9, 2: 0.7}, 2),
        (Metric(), {5: 0.8, 2: 0.8}, 2),
    ],
)
def test_the_searchs_best_finalist_has_the_best_score_and_the_lowest_number(
    metric: Metric, scores: Mapping[int, float], best: int
) -> None:
    rows = [
        ROW.model_copy(update={"trial": trial, "search_score": score})
        for trial, score in scores.items()
    ]
    assert best_of_search(rows, metric).trial == best


def test_a_file_that_a_spreadsheet_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_csv(frame_of((ROW,), [{}], []), folder.finalists)
    folder.finalists.write_bytes(codecs.BOM_UTF8 + folder.finalists.read_bytes())
    assert read_finalists_file(folder) == (ROW,)


def test_before_any_confirmation_there_are_none(tmp_path: Path) -> None:
    assert read_finalists_file(RunFolder(tmp_path)) == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"rank,trial\n1,2\n", "architecture: is missing"),
        (b"rank,trial\nfirst,2\n", "rank: must be a whole number, got 'first'"),
        (b'rank,trial\n"1,2\n', "unexpected end of data"),
        (b"rank,trial\n\xff,2\n", "invalid start byte"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes, reason: str) -> None:
    folder = RunFolder(tmp_path / "my run")
    folder.path.mkdir()
    folder.finalists.write_bytes(content)
    message = rf"damaged \(.*{reason}.*\); remove it and type: tuner confirm '.*/my run'$"
    with pytest.raises(RunFolderError, match=message) as refused:
        read_finalists_file(folder)
    assert str(refused.value).isprintable()
