"""`tuner leaderboard`."""

import csv
import io
import json
from pathlib import Path

import pytest
from support.commands import Call, MakeRun

from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace


def test_leaderboard_is_a_table_best_first(call: Call, make_run: MakeRun) -> None:
    ended = call("leaderboard", make_run("a", 0.5, 0.9, None, 0.7))
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split()[:5] == ["rank", "trial", "status", "architecture", "score"]
    assert [line.split()[1] for line in lines[1:5] if line.strip()] == ["1", "3", "0", "2"]
    assert "(baseline)" in ended.out
    assert "it broke" in ended.out


def test_leaderboard_as_json_parses(call: Call, make_run: MakeRun) -> None:
    rows = json.loads(call("leaderboard", make_run("a", 0.5, 0.9, None), "--format", "json").out)
    assert [(row["rank"], row["trial"], row["score"]) for row in rows] == [
        (1, 1, 0.9),
        (2, 0, 0.5),
        (3, 2, None),
    ]


def test_leaderboard_as_csv_parses(call: Call, make_run: MakeRun) -> None:
    error = 'ValueError: =1, "two"\nlines'
    out = call("leaderboard", make_run("a", None, 0.5, error=error), "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(out, newline=""), strict=True))
    assert [row["error"] for row in rows] == ["", error]
    assert out.count("\r\n") == 3


def test_leaderboard_as_markdown_escapes_pipes(call: Call, make_run: MakeRun) -> None:
    out = call("leaderboard", make_run("a", None, error="a|b\nc"), "--format", "markdown").out
    header, dashes, row = out.splitlines()
    assert row.endswith(r"| a\|b c |  |  |")
    assert header.count("|") == dashes.count("|") == row.count("|") - 1


def test_leaderboard_of_several_runs_ranks_them_together(call: Call, make_run: MakeRun) -> None:
    runs = make_run("a", 0.5, 0.9), make_run("b", 0.7)
    rows = json.loads(call("leaderboard", *runs, "--format", "json").out)
    assert [(row["run"], row["rank"], row["score"]) for row in rows] == [
        ("runs/a", 1, 0.9),
        ("runs/b", 2, 0.7),
        ("runs/a", 3, 0.5),
    ]
    assert call("leaderboard", *runs).out.split()[:3] == ["rank", "run", "trial"]


def test_leaderboard_of_one_run_named_twice_is_that_run(call: Call, make_run: MakeRun) -> None:
    run = make_run("a", 0.5)
    named = (run, f"{run}/", f"./{run}")
    rows = json.loads(call("leaderboard", *named, "--format", "json").out)
    assert [(row["rank"], row["trial"]) for row in rows] == [(1, 0)]


def test_runs_with_different_metrics_are_not_ranked_together(
    call: Call, make_run: MakeRun, space: SearchSpace
) -> None:
    other = SearchSpace.from_mapping(
        {**space.to_mapping(), "metric": {"name": "val_loss", "mode": "min"}}, "other"
    )
    runs = make_run("a", 0.5), make_run("b", 0.5, space=other)
    refusal = call("leaderboard", *runs).refusal
    assert refusal == (
        "runs with different metrics (val_accuracy, val_loss) have no common order; name runs of one metric"
    )


def test_leaderboard_is_sorted_and_cut(call: Call, make_run: MakeRun) -> None:
    run = make_run("a", 0.5, 0.9, None, 0.7)

    def trials(*options: str) -> list[int]:
        out = call("leaderboard", run, "--format", "json", *options).out
        return [row["trial"] for row in json.loads(out)]

    assert trials("--top", "2") == [1, 3]
    assert trials("--sort", "trial") == [0, 1, 2, 3]
    assert trials("--sort", "-trial", "--top", "1") == [3]
    assert (
        "--sort: no column 'x'; write one of rank, trial"
        in call("leaderboard", run, "--sort", "x").refusal
    )


def test_leaderboard_of_two_objectives_shows_the_front(call: Call, make_run: MakeRun) -> None:
    run = make_run("a", 0.9, 0.7, None, 0.8, cost=Cost.WEIGHTS)
    rows = json.loads(call("leaderboard", run, "--format", "json").out)
    assert [(row["trial"], row["pareto"]) for row in rows] == [
        *((0, True), (3, True), (1, False), (2, False))
    ]
    front = call("leaderboard", run, "--pareto", "--sort", "weights", "--format", "json").out
    assert [(row["rank"], row["weights"]) for row in json.loads(front)] == [(2, 970), (1, 1000)]
    table = call("leaderboard", run, "--pareto").out.splitlines()
    assert table[0].split()[4:8] == ["score", "weights", "pareto", "best"]
    assert table[2].split()[4:7] == ["0.8000", "970", "*"]


def test_leaderboard_of_runs_by_the_same_objectives_has_one_front(
    call: Call, make_run: MakeRun
) -> None:
    runs = (make_run("a", 0.9, 0.7, cost=Cost.WEIGHTS), make_run("b", 0.9, 0.8, cost=Cost.WEIGHTS))
    out = call("leaderboard", *runs, "--pareto", "--format", "json").out
    assert [(row["run"], row["trial"]) for row in json.loads(out)] == [
        *(("runs/a", 0), ("runs/b", 0), ("runs/b", 1))
    ]


def test_an_empty_front_is_reported(call: Call, make_run: MakeRun) -> None:
    failed, empty = make_run("a", None, cost=Cost.WEIGHTS), make_run("b", cost=Cost.WEIGHTS)
    assert "no trial is on the front yet" in call("leaderboard", failed, "--pareto").out
    assert "no trial has been started yet" in call("leaderboard", empty, "--pareto").out


def test_a_front_of_one_objective_or_of_different_ones_is_refused(
    call: Call, make_run: MakeRun
) -> None:
    one, two = make_run("a", 0.9), make_run("b", 0.9, cost=Cost.WEIGHTS)
    assert call("leaderboard", one, "--pareto").refusal == (
        "--pareto: a search by one objective has no front; search with --objectives METRIC,COST"
    )
    assert call("leaderboard", one, two, "--pareto").refusal == (
        "--pareto: runs with different objectives have no front; name one run"
    )
    rows = json.loads(call("leaderboard", one, two, "--format", "json").out)
    assert len(rows) == 2
    assert "pareto" not in rows[0]


def test_a_leaderboard_without_trials_is_reported(call: Call, make_run: MakeRun) -> None:
    run = make_run("a")
    assert "no trial has been started yet" in call("leaderboard", run).out
    assert json.loads(call("leaderboard", run, "--format", "json").out) == []
    assert call("leaderboard", run, "--format", "csv").out.count("\r\n") == 1


@pytest.mark.parametrize("form", ["table", "csv", "markdown", "json"])
def test_an_errors_text_cannot_reach_the_terminal(call: Call, make_run: MakeRun, form: str) -> None:
    run = make_run("a", None, error="\x1b]0;title\x07 [bold]b[/bold] \x9b2J")
    out = call("leaderboard", run, "--format", form).out
    assert not {"\x1b", "\x07"} & set(out)
    assert "[bold]b[/bold]" in out


def test_reading_a_leaderboard_writes_nothing(call: Call, make_run: MakeRun, folder: Path) -> None:
    run = make_run("a", 0.5)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    call("leaderboard", run)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("content", [b"not json\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b""])
def test_a_damaged_journal_is_refused(call: Call, folder: Path, content: bytes) -> None:
    (folder / "runs" / "a").mkdir(parents=True)
    (folder / "runs" / "a" / "study.journal").write_bytes(content)
    assert "study.journal: " in call("leaderboard", "runs/a").refusal


def test_a_misspelt_run_is_refused_with_the_existing_runs(call: Call, make_run: MakeRun) -> None:
    make_run("a")
    assert call("leaderboard", "runs/b").refusal.endswith("no such run folder; write one of runs/a")
    assert call("leaderboard").refusal.endswith("; write one of runs/a")
