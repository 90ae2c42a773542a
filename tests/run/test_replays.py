"""Every command opens the journal of a run once and replays it once."""

import shutil
import threading
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from socketserver import BaseServer
from typing import Any

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from support.commands import run_tuner
from support.golden import GOLDEN

from tuner.training.single.configurations import read_configurations
from tuner.training.single.settings import Settings

SLOW = (pytest.mark.slow,)  # these load Keras


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often this thread opens and replays journals; a search of an earlier test may still have others."""
    counts: Counter[str] = Counter()
    opening, read = JournalStorage.__init__, JournalFileBackend.read_logs

    def count_opening(self: JournalStorage, *arguments: Any, **keywords: Any) -> None:
        counts["openings"] += threading.current_thread() is threading.main_thread()
        opening(self, *arguments, **keywords)

    def count_replay(
        self: JournalFileBackend, log_number_from: int
    ) -> Generator[dict[str, Any], None, None]:
        is_ours = threading.current_thread() is threading.main_thread()
        counts["replays"] += is_ours and log_number_from == 0
        return read(self, log_number_from)

    monkeypatch.setattr(JournalStorage, "__init__", count_opening)
    monkeypatch.setattr(JournalFileBackend, "read_logs", count_replay)
    return counts


@pytest.mark.parametrize(
    ("arguments", "times", "code"),
    [
        (("status", "small"), 1, 0),
        (("watch", "small"), 1, 0),
        (("leaderboard", "small"), 1, 0),
        (("leaderboard", "small", "small/"), 1, 0),
        (("leaderboard", "cheap", "--pareto"), 1, 0),
        (("report", "small"), 1, 0),
        (("report", "small", "--format", "markdown"), 1, 0),
        (("stop", "small"), 0, 2),  # no search is running
        (("dashboard", "small"), 1, 0),
        # It writes, too: the search's study and that of the finalists lie in one journal.
        (("confirm", "small", "--top", "2", "--seeds", "2"), 1, 0),
        pytest.param(("test", "small"), 1, 0, marks=SLOW),
        pytest.param(("export", "small"), 1, 0, marks=SLOW),
        pytest.param(("predict", "small/model", "a good film"), 0, 0, marks=SLOW),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_replays_the_journal_once(
    arguments: tuple[str, ...],
    times: int,
    code: int,
    counts: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("small", "cheap"):
        shutil.copytree(GOLDEN / name, name)
    monkeypatch.setattr(BaseServer, "serve_forever", lambda server: None)
    ended = run_tuner(arguments, capsys)
    assert ended.code == code, ended.err
    assert (counts["openings"], counts["replays"]) == (times, times)


def test_several_rows_of_a_run_replay_its_journal_once(counts: Counter[str]) -> None:
    """`tuner train small:0 small:6` reads its rows so; the training itself reads no run."""
    words = [f"{GOLDEN / 'small'}:{trial}" for trial in (0, 6)]
    rows = [each.row for each in read_configurations(words, Settings())]
    assert [row.record.number for row in rows if row is not None] == [0, 6]
    assert counts == Counter({"openings": 1, "replays": 1})
