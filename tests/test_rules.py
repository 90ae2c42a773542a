"""Each rule has one home: these tests read the source and name any second module that decides it."""

import re
from pathlib import Path

import tuner

_SOURCE = Path(tuner.__file__).parent


def modules_with(pattern: str) -> set[str]:
    """The modules of tuner whose text has `pattern` in it."""
    return {
        path.relative_to(_SOURCE).as_posix()
        for path in _SOURCE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }


def test_files_are_replaced_in_one_module() -> None:
    assert modules_with(r"os\.replace|mkstemp|NamedTemporaryFile|\.replace\(path\)") == {"files.py"}


def test_files_of_rows_are_read_in_one_package() -> None:
    reads = r"csv\.(reader|DictReader)|\bread_(csv|parquet|json)\(|ParquetFile|GzipFile"
    of_runs = {"run/finalists_file.py", "run/leaderboard_snapshot.py"}  # which tuner wrote itself
    assert modules_with(reads) - of_runs == {
        f"data/files/{name}.py" for name in ("compression", "dialect", "parquet")
    }


def test_a_user_may_have_no_home() -> None:
    assert modules_with(r"\.home\(\)|\.expanduser\(\)") == {
        "files.py"
    }  # which asks whether there is one


def test_modules_are_imported_by_name_in_one_module() -> None:
    imports = r"import_module\(|__import__\(|spec_from_file|exec_module|runpy"
    # The first asks `own_modules`, the second becomes the worker that Ray would have started.
    callers = {"training/custom.py", "execution/forked_worker.py"}
    assert modules_with(imports) - callers == {"training/own_modules.py"}


def test_which_score_is_better_is_decided_in_one_module() -> None:
    compares = (
        r"\bMode\.M|MAXIMIZE|MINIMIZE"
        r"|\.(mode|direction)\s+(is|==|!=|in)\b"
        r"|[=!]= \"(max|min)"
        r"|-score\b|\bsign \* "
    )
    assert modules_with(compares) == {"settings/metric.py"}


def test_searches_with_and_without_a_cost_are_distinguished_in_one_module() -> None:
    assert modules_with(r"MetricAlone|MetricAndCost|isinstance\(\w*objectives") == {
        "settings/objectives.py"
    }


def test_statuses_are_grouped_in_one_module() -> None:
    assert modules_with(r"TrialStatus\.\w+, TrialStatus\.|status in [({]") == {
        "run/trial_status.py"
    }
