"""No test here touches the user's own cache."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

WriteCsv = Callable[..., str]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder that `load_dataset` uses when no other is given."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TUNER_CACHE", str(folder))
    return folder


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteCsv:
    """Writes a CSV file and gives its path, as a person would type it."""

    def write(
        rows: Iterable[tuple[str, ...]],
        header: tuple[str, ...] = ("text", "label"),
        name: str = "rows.csv",
    ) -> str:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        return str(path)

    return write


@pytest.fixture
def forty_rows() -> list[tuple[str, str]]:
    """Twenty different texts of each of two classes."""
    return [(f"word{i} good", "pos") for i in range(20)] + [
        (f"word{i} bad", "neg") for i in range(20)
    ]
