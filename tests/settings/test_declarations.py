"""A setting is declared once; its flag, keyword, file key, pages and messages follow from that."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from tuner.errors import ConfigError
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.declarations import (
    DeclaredSetting,
    Group,
    Setting,
    by_path,
    declared_settings,
    setting_at,
    validated,
)
from tuner.settings.validation import Strict

CHECKOUT = Path(__file__).resolve().parents[2]

DECLARATION = """
    patience: Annotated[
        int | None,
        Field(ge=1),
        Setting(Group.BUDGET, "Epochs without progress until a trial ends", "N", unset="no limit"),
    ] = None
    trainer: Annotated["""

# Reports everything that follows from the declaration, in a copy of the package with no other change.
PROGRAM = """
import contextlib, inspect, io, json, pathlib, sys
import tuner
from tuner import cli
from tuner.cli.generated_files import pages
from tuner.errors import ConfigError
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.settings.config import make_config

def printed(*arguments):
    sys.argv = ["tuner", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        with contextlib.suppress(SystemExit):
            cli.main()
    return out.getvalue()

def keyword_refusal(**settings):
    try:
        tuner.search("seed", **settings)
    except ConfigError as error:
        return str(error)

folder = RunFolder(pathlib.Path("x"))
folder.path.mkdir()
write_run_file(folder, make_config({"space": "seed", "patience": 3}), "data")
print(json.dumps({
    "help": printed("search", "--help"),
    "signature": str(inspect.signature(tuner.search)),
    "docstring": tuner.search.__doc__,
    "run_file": folder.run_file.read_text(),
    "again": make_config({}, config_file=folder.run_file).patience,
    "flag_refusal": printed("search", "seed", "--patience", "0"),
    "keyword_refusal": keyword_refusal(patience=0),
    "pages": {path.name: text for path, text in pages().items()},
}))
"""


@pytest.fixture(scope="module")
def with_patience(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The texts about a setting that was added to the declarations, and nowhere else."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copytree(CHECKOUT / "tuner", checkout / "tuner")
    shutil.copytree(CHECKOUT / "search_spaces", checkout / "search_spaces")
    shutil.copy(CHECKOUT / "pyproject.toml", checkout)
    declarations = checkout / "tuner" / "settings" / "config.py"
    text = declarations.read_text(encoding="utf-8")
    assert text.count("\n    trainer: Annotated[") == 1
    declarations.write_text(text.replace("\n    trainer: Annotated[", DECLARATION), "utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path_factory.mktemp("current"),
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    shown: dict[str, Any] = json.loads(ended.stdout)
    return shown


def test_a_setting_that_is_declared_is_an_option_with_help(with_patience: dict[str, Any]) -> None:
    budget = with_patience["help"].partition("Budget:")[2].partition("Resources:")[0]
    line = "--patience N Epochs without progress until a trial ends. Default: no limit."
    assert line in " ".join(budget.split())


def test_a_setting_that_is_declared_is_a_keyword_with_help(with_patience: dict[str, Any]) -> None:
    assert ", patience: int | None = None," in with_patience["signature"]
    line = "patience: Epochs without progress until a trial ends. Default: no limit.\n"
    assert line in with_patience["docstring"]


def test_a_setting_that_is_declared_is_recorded_and_read_back(
    with_patience: dict[str, Any],
) -> None:
    assert "\npatience: 3\n" in with_patience["run_file"]
    assert with_patience["again"] == 3


def test_a_setting_that_is_declared_is_refused_by_its_names(with_patience: dict[str, Any]) -> None:
    rule = "must be greater than or equal to 1, got"
    assert with_patience["flag_refusal"] == f"tuner: --patience: {rule} '0'\n"
    assert with_patience["keyword_refusal"] == f"patience: {rule} 0"


def test_a_setting_that_is_declared_is_on_the_pages(with_patience: dict[str, Any]) -> None:
    pages = with_patience["pages"]
    assert "### `--patience N`\n\nEpochs without progress" in pages["settings.md"]
    assert "--patience N Epochs without progress" in " ".join(pages["commands.md"].split())
    assert "    patience: int | None\n" in pages["keywords.py"]


# -- one declaration ------------------------------------------------------------------------------


class Inner(Strict):
    """A section of settings."""

    source: Annotated[str, Setting(Group.DATA, "Where from", "PATH", name="data")] = "here"


class Outer(Strict):
    """Settings and a section."""

    inner: Inner = Inner()
    factor: Annotated[float, Field(gt=0), Setting(Group.SEARCH, "How much", "N")] = 2.0
    loud: Annotated[bool, Setting(Group.SEARCH, "Print more")] = False


SOURCE, FACTOR, LOUD = declared_settings(Outer)


def test_a_setting_has_a_name_per_way_in() -> None:
    assert (SOURCE.flag, SOURCE.keyword, SOURCE.key) == ("--data", "data", "inner.source")
    assert (FACTOR.flag, FACTOR.keyword, FACTOR.key) == ("--factor", "factor", "factor")


def test_a_description_names_the_default_except_that_a_switch_is_off() -> None:
    assert FACTOR.description == "How much. Default: 2."
    assert FACTOR.with_default("the run's").description == "How much. Default: the run's."
    assert LOUD.description == "Print more."


def test_values_go_where_the_model_has_them() -> None:
    given = {"data": "x.csv", "factor": None}
    assert by_path([SOURCE, FACTOR], given) == {"inner": {"source": "x.csv"}}
    assert SOURCE.value_in({"inner": {"source": "x.csv"}}) == "x.csv"
    assert SOURCE.value_in({"inner": None}) is None


def test_an_unknown_keyword_is_refused_as_python_does() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'fator'; did you mean factor"):
        by_path([SOURCE, FACTOR], {"fator": 1})


@pytest.mark.parametrize(
    ("location", "setting"),
    [(("inner", "source"), SOURCE), (("factor", "float"), FACTOR), (("inner",), None)],
)
def test_a_location_in_the_model_belongs_to_a_setting(
    location: tuple[str, ...], setting: DeclaredSetting | None
) -> None:
    assert setting_at([SOURCE, FACTOR], location) == setting


def test_a_rule_that_is_broken_names_the_setting() -> None:
    with pytest.raises(ConfigError, match=r"^--factor: must be greater than 0, got 0$"):
        validated(Outer, {"factor": 0}, "flags")
    with pytest.raises(ConfigError, match=r"^data: must be text, got 3; put it in quotes$"):
        validated(Outer, {"inner": {"source": 3}}, "keywords")


def test_every_setting_of_a_search_has_a_description_and_a_placeholder() -> None:
    for setting in declared_settings(SearchConfig):
        assert setting.is_switch or setting.metavar, setting.keyword
        assert not setting.setting.help.endswith("."), setting.keyword
    declared = {setting.path[0] for setting in declared_settings(SearchConfig)}
    assert set(SearchConfig.model_fields) - declared == {"space"}  # an argument, not an option


def test_a_path_may_be_a_path() -> None:
    config = make_config({"space": Path("seed"), "out": Path("a"), "data": {"source": Path("b")}})
    assert (config.space.name, config.out, config.data.source) == ("seed", "a", "b")
