"""Trainings with many seeds are recorded once, after each epoch, with the linear reference."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.keras


def test_trainings_are_recorded_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.replay.many_seeds import many_seeds

    table = many_seeds(tmp_path, configurations=1, seeds=2)
    first = capsys.readouterr().err
    again = many_seeds(tmp_path, configurations=1, seeds=2)

    assert table.right.shape == (1, 2, 3, 7000)
    assert table.epoch_points == (0, 1, 2)
    assert table.right[0, 0, 2].mean() > 0.55
    assert (table.right[0, 0] != table.right[0, 1]).any()
    assert table.reference is not None
    assert "2 of 2" in first
    assert "of" not in capsys.readouterr().err
    assert (again.right == table.right).all()
