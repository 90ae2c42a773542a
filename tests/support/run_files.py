"""Files of a run folder as a search, a confirmation and a test leave them, for tests of their readers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.run.folder import RunFolder
from tuner.run.records import TrialRecord
from tuner.run.trial_status import TrialStatus
from tuner.settings.yaml_files import to_yaml

SCRIPT = "<script>alert(1)</script>"
MakeRun = Callable[..., RunFolder]


def record(number: int = 0, **changes: Any) -> TrialRecord:
    """A complete trial that was never run."""
    common: dict[str, Any] = {
        "status": TrialStatus.COMPLETE,
        "architecture": "lstm",
        "parameters": {},
        "curve": {},
        "best_epoch": 1,
        "score": 0.5,
        "baseline": False,
        "retry_of": None,
        "seed": 0,
        "host": "h",
        "device": "cpu",
        "weights": 1,
        "started": None,
        "ended": None,
        "error": None,
    }
    return TrialRecord(number=number, **{**common, **changes})


def write_run_file(folder: RunFolder, **settings: Any) -> None:
    """A `run.yaml` with these settings."""
    content = {"seed": 3, "max_epochs": 3, "versions": {"python": "3.11"}, **settings}
    folder.run_file.write_text(to_yaml(content), encoding="utf-8")


def write_finalists(folder: RunFolder, *rows: tuple[int, float, bool], seeds: int = 5) -> None:
    """A `finalists.csv` of these trials, means and ties."""
    head = (
        "rank,trial,architecture,seeds,mean,deviation,low,high,search_score,optimism,tie_with_best"
    )
    lines = [
        f"{rank},{trial},lstm,{seeds},{mean},,{mean - 0.02:.4f},{mean + 0.02:.4f},0.9,{0.9 - mean:.4f},{tie}"
        for rank, (trial, mean, tie) in enumerate(rows, start=1)
    ]
    folder.finalists.write_text("\r\n".join([head, *lines, ""]), encoding="utf-8")


def write_tests(folder: RunFolder, classes: tuple[str, str] = ("bad", "good")) -> None:
    """A `tests.yaml` with one test evaluation."""
    each = {"precision": 0.8, "recall": 0.7, "f1": 0.75, "count": 50}
    figures = {
        "sequences": 100,
        "accuracy": 0.8,
        "low": 0.7,
        "high": 0.9,
        "loss": 0.4,
        "roc_auc": None,
        "calibration_error": 0.1,
        "classes": dict.fromkeys(classes, each),
        "confusion": [[35, 15], [5, 45]],
    }
    evaluation = {
        "opened": "2026-11-24T10:00:00+00:00",
        "data": "the test split",
        "members": ["trial 7, seed 1"],
        "figures": figures,
    }
    folder.tests.write_text(to_yaml({"openings": [evaluation]}), encoding="utf-8")


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"(folder)"
        for path in folder.rglob("*")
    }
