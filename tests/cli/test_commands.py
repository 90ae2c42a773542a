"""The commands as a person types them: what they print, how they end, what they leave behind."""

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from tuner import cli, doctor
from tuner.config import PrunerName, SamplerName
from tuner.doctor import Check, Status
from tuner.errors import SearchError
from tuner.objectives import Cost, Objectives
from tuner.run_folder import RunFolder
from tuner.space import SearchSpace
from tuner.study import TrialFacts, create_or_open_study
from tuner.trial_status import TrialStatus

SPACES = Path(__file__).parents[2] / "search_spaces"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line on standard error, nothing else having been printed."""
        assert (self.code, self.out) == (2, "")
        assert self.err.startswith("tuner: ")
        assert self.err.endswith("\n")
        assert self.err[:-1].isprintable()
        return self.err[:-1].removeprefix("tuner: ")


Call = Callable[..., Ended]
MakeRun = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    path = tmp_path / "current"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("TUNER_CACHE", str(tmp_path / "cache"))
    for name in ("FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `tuner` with arguments, in the empty folder."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["tuner", *arguments])
        with pytest.raises(SystemExit, match=r"^\d+$") as ended:
            cli.main()
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, printed.out, printed.err)

    return run


@pytest.fixture
def make_run(folder: Path, space: SearchSpace) -> MakeRun:
    """Makes a run folder with a trial a score; None is a trial that failed."""

    def make(
        name: str,
        *scores: float | None,
        error: str = "it broke",
        space: SearchSpace = space,
        cost: Cost | None = None,
    ) -> str:
        journal = folder / "runs" / name / "study.journal"
        study = create_or_open_study(
            journal,
            space,
            seed=0,
            sampler=SamplerName.RANDOM,
            pruner=PrunerName.NONE,
            max_epochs=9,
            workers=1,
            objectives=None if cost is None else Objectives(space.metric, cost),
        )
        for score in scores:
            trial = study.ask()
            space.suggest(trial)
            study.record_facts(trial, TrialFacts(1, "node", "cpu", 1000 - 10 * trial.number))
            if score is None:
                study.finish(trial, TrialStatus.FAILED, error)
                continue
            names = ("loss", "accuracy", "val_loss", "val_accuracy", "val_f1", "seconds")
            study.report(trial, 1, dict.fromkeys(names, score))
            study.finish(trial, TrialStatus.COMPLETE)
        return f"runs/{name}"

    return make


# -- tuner ----------------------------------------------------------------------------------------


def test_tuner_alone_prints_its_help(call: Call) -> None:
    ended = call()
    assert (ended.code, ended.err) == (0, "")
    for command in ("search", "leaderboard", "spaces", "data", "doctor"):
        assert command in ended.out
    assert call("--help").out.split() == ended.out.split()


def test_every_command_and_option_has_help(call: Call) -> None:
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        shown = [option for option in command.params if not getattr(option, "hidden", False)]
        assert [option.name for option in shown if not option.help] == []
        ended = call(name, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert command.help.split()[0] in ended.out


def test_the_version_is_the_installed_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"1.2.3 of {name}")
    assert call("--version") == Ended(0, "tuner 1.2.3 of sequence-tuner\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("serach",), "serach: no such command; did you mean search?"),
        (("pakc",), "pakc: no such command; see `tuner --help`"),  # `pack` is hidden
        (("--loud",), "--loud: no such option; see `tuner --help`"),
        (("search", "-x"), "-x: no such option; see `tuner search --help`"),
        (("search", "seed", "--trails", "3"), "--trails: no such option; did you mean --trials?"),
        (("search", "--trainr", "toy"), "--trainr: no such option; did you mean --"),
        (("search", "seed", "--trials", "many"), "--trials: must be a whole number, got 'many'"),
        (("search", "seed", "--cpus-per-trial", "x"), "--cpus-per-trial: must be a number, got"),
        (("search", "seed", "--trials"), "--trials: needs a value; write one after it"),
        (("confirm",), "RUN: is missing; see `tuner confirm --help`"),
        (("confirm", "x", "--top", "0"), "--top: must be greater than or equal to 1, got '0'"),
        (
            ("confirm", "x", "--train-on", "all"),
            "--train-on: must be one of 'train', 'train+validation', got 'all'",
        ),
        (("train",), "CONFIG: is missing; see `tuner train --help`"),
        (("confirm", "a", "b c"), "b c: is one argument too many; put what has spaces"),
        (("search",), "a search needs a space; name a YAML file or a built-in, e.g. seed"),
        (("search", "sed"), "'sed' is neither a file nor a built-in space; did you mean seed?"),
        (
            ("search", "seed", "--trials", "0"),
            "--trials: must be greater than or equal to 1, got 0",
        ),
        (("search", "seed", "--time-budget", "0"), "--time-budget: must be above zero, got '0'"),
        (("search", "seed", "--name", "../x"), "--name: must be letters, digits"),
        (("search", "seed", "--name", "a/b"), "--name: must be letters, digits"),
        (("search", "seed", "--tokens", "bytes"), "--tokens: must be 'words', 'characters' or"),
        (
            ("search", "seed", "--sampler", "grid"),
            "--sampler: must be 'tpe' or 'random', got 'grid'",
        ),
        (
            ("search", "seed", "--mlflow", "ftp://x"),
            "--mlflow: must be http://host:port, sqlite:///",
        ),
        (("search", "seed", "--config", "no.yaml"), "no.yaml: cannot be read: No such file"),
        (("search", "x\ny\x1b[2J.yaml"), "x y�[2J.yaml: no such file; write a YAML file's path"),
        (("spaces", "nope"), "'nope' is neither a file nor a built-in space; write a YAML file's"),
        (("spaces", "no.yaml"), "no.yaml: no such file; write a YAML file's path or one of"),
        (("leaderboard",), "name one or several run folders; `tuner search` makes one"),
        (("leaderboard", "runs/no"), "runs/no: no such run folder; `tuner search` makes one"),
        (("leaderboard", "."), ".: not a run folder (no study.journal in it)"),
        (
            ("leaderboard", "x", "--format", "xml"),
            "--format: must be one of 'table', 'csv', 'json'",
        ),
        (("leaderboard", "x", "--top", "0"), "--top: must be greater than or equal to 1, got"),
        (("report",), "name one or several run folders; `tuner search` makes one"),
        (("report", "runs/no"), "runs/no: no such run folder; `tuner search` makes one"),
        (("report", "x", "--format", "xml"), "--format: must be one of 'html', 'markdown', 'png'"),
        (("report", "x", "--figure", "slices"), "--figure: html has all of them; write --format"),
        (("data", "no.csv"), "no.csv: there is no such file"),
        (("data", "imdb-trian"), "did you mean imdb-train?"),
        (("data", "imdb-train", "--sample", "0"), "--sample: must be greater than or equal to 1"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_leaves_nothing(
    call: Call, folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert message in call(*arguments).refusal
    assert list(folder.iterdir()) == []


def test_a_misspelt_flag_never_names_a_hidden_one(call: Call) -> None:
    for flag in ("--trainr", "--trane", "--trainers"):
        assert "--trainer?" not in call("search", flag, "x").refusal


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SearchError("every trial\nfailed \x1b[31mthe same way"), 1, "every trial failed �[31mthe"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_exit_codes_tell_how_it_ended(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail(**options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli.os, "dup2", lambda *descriptors: None)
    ended = call("search")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"tuner: {line}" if line else "")
    assert ended.err.count("\n") == (1 if line else 0)


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        cli.main()


# -- spaces ---------------------------------------------------------------------------------------


def test_spaces_lists_the_built_in_ones(call: Call) -> None:
    ended = call("spaces")
    assert (ended.code, ended.err) == (0, "")
    names = [line.split()[0] for line in ended.out.splitlines()[1:4]]
    assert names == ["imdb", "quickstart", "seed"]


def test_spaces_shows_one_with_its_ranges(call: Call) -> None:
    out = call("spaces", "seed").out
    assert "metric val_accuracy (max), at most 9 epochs a trial, 4 baselines" in out
    assert "0.0002 … 0.01 (log)" in out
    assert "32 | 64 | 128" in out
    assert "nothing of its own" in out


def test_spaces_prints_yaml_to_start_ones_own_from(call: Call, folder: Path) -> None:
    own = call("spaces", "seed", "--yaml").out
    (folder / "own.yaml").write_text(own, encoding="utf-8")
    assert own == (SPACES / "seed.yaml").read_text(encoding="utf-8")
    assert call("spaces", "own.yaml").out == call("spaces", "seed").out


def test_spaces_lists_every_parameter_and_architecture(call: Call) -> None:
    from tuner.hyperparameters import ARCHITECTURES, MODEL_PARAMETERS

    first_words = {
        line.split()[0] for line in call("spaces", "--parameters").out.splitlines() if line
    }
    assert first_words >= MODEL_PARAMETERS | set(ARCHITECTURES)


def test_spaces_refuses_a_bad_file_with_field_and_rule(call: Call, folder: Path) -> None:
    text = "name: s\nshared: {lstm_units: {int: [256, 32]}}\narchitectures: {lstm: }"
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    refusal = call("spaces", "s.yaml").refusal
    assert refusal == "s.yaml: shared.lstm_units: low must be below high, got 256 and 32; swap them"


def test_brackets_and_control_characters_in_a_space_are_only_text(call: Call, folder: Path) -> None:
    text = (
        'name: s\ndescription: "[red]x[/] :smile: \\e[2J"\narchitectures: {lstm: {pooling: last}}'
    )
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    ended = call("spaces", "s.yaml")
    assert ended.out.startswith("s: [red]x[/] :smile: �[2J\n")


# -- data -----------------------------------------------------------------------------------------


def test_data_lists_the_named_sets(call: Call) -> None:
    ended = call("data")
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()[1:4]] == [
        "imdb-train",
        "rotten-tomatoes",
        "imdb",
    ]


def test_data_shows_a_file(call: Call, folder: Path, sentences: Path) -> None:
    ended = call("data", str(sentences))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("sentences.csv: 120 rows, 2 classes\n")
    for word in ("negative", "positive", "train", "validation", "confirmation", "test", "median"):
        assert word in ended.out
    assert list(folder.iterdir()) == []


def test_labels_and_texts_of_strangers_cannot_reach_the_terminal(call: Call, folder: Path) -> None:
    rows = ["text,label"]
    for number in range(40):
        rows += [f"\x1b[2Jgood [b]{number}[/b],[red]\x07yes", f"bad {number},no"]
    (folder / "rows.csv").write_text("\n".join(rows), encoding="utf-8")
    out = call("data", "rows.csv").out
    assert not {"\x1b", "\x07"} & set(out)
    assert "[red]�yes" in out
    assert "[/b]" in out


# -- leaderboard ----------------------------------------------------------------------------------


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
    assert row.endswith(r"| a\|b c |")
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
    rows = json.loads(call("leaderboard", run, f"{run}/", "--format", "json").out)
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
        "runs with different metrics (val_accuracy, val_loss) have no common order; name one run"
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


def test_a_front_that_nobody_is_on_yet_is_said(call: Call, make_run: MakeRun) -> None:
    failed, empty = make_run("a", None, cost=Cost.WEIGHTS), make_run("b", cost=Cost.WEIGHTS)
    assert "no trial is on the front yet" in call("leaderboard", failed, "--pareto").out
    assert "no trial has been started yet" in call("leaderboard", empty, "--pareto").out


def test_there_is_no_front_of_one_objective_or_of_different_ones(
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


def test_leaderboard_of_a_study_without_trials_says_so(call: Call, make_run: MakeRun) -> None:
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


def test_a_misspelt_run_is_answered_with_those_there_are(call: Call, make_run: MakeRun) -> None:
    make_run("a")
    assert call("leaderboard", "runs/b").refusal.endswith("no such run folder; write one of runs/a")
    assert call("leaderboard").refusal.endswith("; write one of runs/a")


# -- report ---------------------------------------------------------------------------------------


def test_report_writes_a_page_beside_the_run(call: Call, make_run: MakeRun, folder: Path) -> None:
    run = make_run("a", 0.5, 0.9, None, 0.7)
    ended = call("report", f"{run}/")
    assert (ended.code, ended.out, ended.err) == (0, "Report: runs/a/report.html\n", "")
    assert (folder / run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_report_compares_several_runs(call: Call, make_run: MakeRun, folder: Path) -> None:
    runs = make_run("a", 0.5), make_run("b", 0.9)
    assert call("report", *runs).out == "Report: report.html\n"
    assert call("report", *runs, "--out", "x/y.html").out == "Report: x/y.html\n"
    assert "<h1>2 runs</h1>" in (folder / "x" / "y.html").read_text(encoding="utf-8")


def test_report_prints_markdown(call: Call, make_run: MakeRun, folder: Path) -> None:
    run = make_run("a", 0.5, 0.9)
    printed = call("report", run, "--format", "markdown").out
    assert printed.startswith("# a\n\nSearched 3 parameters")
    assert call("report", run, "--format", "markdown", "--out", "a.md").out == "Report: a.md\n"
    assert (folder / "a.md").read_text(encoding="utf-8") == printed


def test_report_refuses_a_figure_that_is_not_there(call: Call, make_run: MakeRun) -> None:
    run = make_run("a", 0.5, 0.9)
    refusal = call("report", run, "--format", "png", "--figure", "slice").refusal
    assert refusal.startswith("--figure: no figure 'slice'; write one of optimisation-history,")


# -- doctor ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"), [(Status.OK, 0), (Status.WARNING, 0), (Status.PROBLEM, 1)]
)
def test_doctor_prints_what_it_found_and_what_to_do(
    call: Call, monkeypatch: pytest.MonkeyPatch, status: Status, code: int
) -> None:
    checks = [
        Check("python", Status.OK, version("pytest")),
        Check("disk", status, "little [b]left[/b]\x1b[2J", "rm 'a [file]'"),
    ]
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    ended = call("doctor")
    assert (ended.code, ended.err) == (code, "")
    assert "little [b]left[/b]�[2J" in ended.out
    assert "rm 'a [file]'" in ended.out
    assert [line.split()[0] for line in ended.out.splitlines()[:2]] == ["ok", str(status)]


# -- status, stop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_run_that_is_not_there_is_refused(call: Call, command: str) -> None:
    assert "runs/x: no such run folder" in call(command, "runs/x").refusal


def test_a_run_in_which_nobody_searches_cannot_be_stopped(call: Call, make_run: MakeRun) -> None:
    run = make_run("a")
    assert "no search is running in it" in call("stop", run).refusal
    assert not (Path(run) / "logs" / "stop").exists()


def test_a_search_that_does_not_end_in_time_is_said_so(call: Call, make_run: MakeRun) -> None:
    run = make_run("a")
    with RunFolder(Path(run)).locked():
        assert "--timeout: must be a duration" in call("stop", run, "--timeout", "soon").refusal
        ended = call("stop", run, "--timeout", "0.2s")
    assert "has not ended within" in ended.refusal
