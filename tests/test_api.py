"""The Python calls, and the run that a search returns."""

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import get_type_hints

import optuna
import pytest
from typer.main import get_command

import tuner
from tuner.cli import app
from tuner.errors import ConfigError, RunFolderError, SpaceError
from tuner.settings import keywords


def test_the_public_names_are_few() -> None:
    functions = ["confirm", "export", "load_model", "search", "test"]
    assert tuner.__all__ == ["Run", "__version__", *functions]
    assert all(callable(getattr(tuner, name)) for name in ["Run", *functions])


def test_the_version_is_the_installed_one() -> None:
    assert tuner.__version__ == version("sequence-tuner")
    assert not hasattr(tuner, "__versoin__")


@pytest.mark.parametrize("name", ["search", "confirm", "test", "export"])
def test_the_call_takes_the_options_of_the_command(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]
    # A rehearsal and another machine are the command's own.
    options = {parameter.name for parameter in command.params} - {"help", "trainer", "cluster"}
    call = getattr(tuner, name)
    parameters = dict(inspect.signature(call).parameters)
    parameters.pop("progress", None)
    assert set(parameters) == options
    assert all(f"\n    {keyword}: " in inspect.getdoc(call) for keyword in parameters)
    defaults = {parameter.name: parameter.default for parameter in command.params}
    for keyword in parameters.values():
        if keyword.default not in (None, (), inspect.Parameter.empty):
            assert keyword.default == defaults[keyword.name]


def test_a_bad_value_is_refused_by_the_keywords_name() -> None:
    with pytest.raises(
        ConfigError, match=r"^max_epochs: must be greater than or equal to 1, got 0"
    ):
        tuner.search("seed", max_epochs=0)
    with pytest.raises(ConfigError, match=r"^data: must be text, got 3"):
        tuner.search("seed", data=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^objectives: must be METRIC,COST .*, got \('val_acc"):
        tuner.search("seed", objectives=("val_accuracy",))
    with pytest.raises(SpaceError, match="did you mean seed"):
        tuner.search("sead")


@pytest.mark.parametrize("call", [tuner.test, tuner.export])
@pytest.mark.parametrize(
    ("choice", "refusal"),
    [
        ({"threshold": 1.0}, "threshold: must be less than 1, got 1.0"),
        ({"threshold": float("nan")}, "threshold: must be a finite number, got nan"),
        ({"finalist": 0}, "finalist: must be greater than or equal to 1, got 0"),
        ({"ensemble": 1.5}, "ensemble: must be a whole number, got 1.5"),
        (
            {"members": "all"},
            "members: must be 'finalists', 'seeds', 'trials' or 'reference', got 'all'",
        ),
    ],
)
def test_a_choice_that_names_no_model_is_refused(
    call: Callable[..., object], choice: dict[str, object], refusal: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(refusal)}$"):
        call(tmp_path / "no run", **choice)


def test_options_of_rows_that_are_not_given_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^encoding: describes data, which is not given; give"):
        tuner.test(tmp_path / "no run", encoding="cp1252")


@pytest.mark.parametrize("name", ["search", "confirm", "test", "export"])
def test_type_checkers_see_the_keywords_that_help_shows(name: str) -> None:
    shown = inspect.signature(getattr(tuner, name)).parameters
    own = {
        "space",
        "run",
        "config",
        "progress",
        "modules",
        "format",
        "out",
        "data",
        "vectors",
    }
    typed = get_type_hints(getattr(keywords, f"KeywordsOf{name.capitalize()}"))
    assert {keyword: shown[keyword].annotation for keyword in typed} == typed
    assert set(shown) - set(typed) <= own


def test_a_misspelt_keyword_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'trails'; did you mean trial"):
        tuner.search("seed", trails=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'tops'; did you mean top"):
        tuner.confirm("runs/none", tops=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'label_colum'; did you mean"):
        tuner.test("runs/none", label_colum="y")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'finalists'; did you mean"):
        tuner.export("runs/none", finalists=2)  # type: ignore[call-arg]


def test_a_run_without_finalists_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the checkout may have runs, one of which would be suggested
    for call in (tuner.confirm, tuner.test, tuner.export):
        with pytest.raises(RunFolderError, match="no such run folder; `tuner search` makes one"):
            call(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"^format: must be one of 'keras', 'savedmodel', 'onnx'"):
        tuner.export(tmp_path / "none", format="pickle")


@pytest.mark.slow
def test_a_search_from_python_gives_a_run(
    without_ray: None, sentences: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("trainer: toy\n", encoding="utf-8")
    run = tuner.search(
        "seed", data=sentences, trials=6, out=tmp_path / "runs", config=settings, progress=True
    )
    assert run.folder == tmp_path / "runs" / "seed-sentences"
    assert len(run.leaderboard()) == 6
    assert isinstance(run.study, optuna.Study)
    assert run.best is not None
    assert round(run.best.score, 6) == run.leaderboard()["score"].max()
    out, error = capfd.readouterr()
    assert "searching seed-sentences: 6 trials" in out
    assert error == ""
    again = tuner.Run(run.folder)
    assert again.best == run.best
    assert repr(again) == f"Run({str(run.folder)!r})"
