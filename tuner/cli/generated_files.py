"""Writes the committed files that follow from declarations: two reference pages, and the keywords for type checkers.

    python -m tuner.cli.generated_files

Run it after a change of a setting, a command or its help; a test compares.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from typer.main import get_command

from tuner.cli import app
from tuner.files import write_atomically
from tuner.finalists.model_choice import EVALUATION_SETTINGS, EXPORT_SETTINGS
from tuner.finalists.request import CONFIRM_SETTINGS
from tuner.settings.config import SearchConfig
from tuner.settings.declarations import DeclaredSetting, Group, declared_settings

CHECKOUT = Path(__file__).resolve().parents[2]


def pages() -> Mapping[Path, str]:
    """The content that each file must have."""
    search = declared_settings(SearchConfig)
    return {
        CHECKOUT / "docs/reference/settings.md": settings_page(search),
        CHECKOUT / "docs/reference/commands.md": commands_page(),
        CHECKOUT / "tuner/settings/keywords.py": keywords_module(
            {
                "search": search,
                "confirm": CONFIRM_SETTINGS,
                "test": EVALUATION_SETTINGS,
                "export": EXPORT_SETTINGS,
            }
        ),
    }


def settings_page(settings: Iterable[DeclaredSetting]) -> str:
    """Every setting of a search: its names, its values, its effect."""
    lines = [
        "# Settings of a search",
        "",
        "Written by `python -m tuner.cli.generated_files` from the declarations in `tuner/settings/`: change those.",
        "",
        "A setting is a flag of `tuner search`, a keyword of `tuner.search`, and a key of a settings file",
        "(`--config`, `config=`, and the `run.yaml` of every run). Flags and keywords win over the file.",
        "`space`, a YAML file or the name of a built-in space, is the first argument of both, and a key of the file.",
    ]
    shown = [each for each in settings if not each.setting.is_hidden]
    for group in Group:
        grouped = [each for each in shown if each.setting.group is group]
        lines += ["", f"## {group}"] if grouped else []
        for each in grouped:
            kind = type_text(each.keyword_type).removesuffix(" | None")
            lines += [
                "",
                f"### `{' '.join(filter(None, (each.flag, each.metavar)))}`",
                "",
                each.description,
                "",
                f"Keyword `{each.keyword}`, of type `{kind}`. Key `{each.key}`.",
            ]
    return "\n".join(lines) + "\n"


_WIDTH: dict[str, Any] = {"terminal_width": 80, "max_content_width": 80}


def commands_page() -> str:
    """The help of every command, at 80 columns."""
    lines = [
        "# Commands",
        "",
        "Written by `python -m tuner.cli.generated_files` from the commands: `tuner COMMAND --help` of each.",
    ]
    commands: Any = get_command(app)
    parent = commands.make_context("tuner", [], resilient_parsing=True, **_WIDTH)
    for name, command in commands.commands.items():
        if not command.hidden:
            context = command.make_context(
                name, [], parent=parent, resilient_parsing=True, **_WIDTH
            )
            lines += ["", f"## `tuner {name}`", "", "```text", command.get_help(context), "```"]
    return "\n".join(lines) + "\n"


def keywords_module(calls: Mapping[str, Iterable[DeclaredSetting]]) -> str:
    """A typed dictionary per call of `tuner.api`."""
    lines = [
        '"""The settings as keywords, for type checkers and editors; `tuner.api` shows the same at run time.',
        "",
        "Written by `python -m tuner.cli.generated_files` from the declarations; change them there.",
        '"""',
        "",
        "from collections.abc import Sequence",
        "from pathlib import Path",
        "from typing import Literal, TypedDict",
    ]
    for call, settings in calls.items():
        lines += ["", "", f"class KeywordsOf{call.capitalize()}(TypedDict, total=False):"]
        lines += [f'    """Keywords of `tuner.{call}`."""', ""]
        for each in settings:
            if not each.setting.is_hidden:
                lines.append(f"    {each.keyword}: {type_text(each.keyword_type)}")
    return "\n".join(lines) + "\n"


def type_text(annotation: Any) -> str:
    """A type as it is written in Python."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return " | ".join(map(type_text, get_args(annotation)))
    if origin is Literal:
        choices = ", ".join(f'"{each}"' for each in get_args(annotation))
        return f"Literal[{choices}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(type_text, get_args(annotation)))}]"
    return "None" if annotation is type(None) else str(annotation.__name__)


if __name__ == "__main__":
    assert (CHECKOUT / "pyproject.toml").is_file(), "only a checkout has these files"
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
