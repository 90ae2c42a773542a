"""Typer's commands with two changes: help lists options by group, and refusals are in our words.

Typer shows groups only inside boxes. It raises the same error for an unknown command and for an argument too many, so
these two are refused here.
"""

import difflib
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from tuner.errors import UsageError


class Command(TyperCommand):
    """A command whose help lists its options by group."""

    allow_extra_args = True  # refused below

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuses more arguments than the command takes."""
        try:
            rest = super().parse_args(ctx, args)
        except typer.TyperException as error:
            if getattr(error, "ctx", ctx) is None:  # where a flag has no value
                error.ctx = ctx  # type: ignore[attr-defined]
            raise
        if rest and not ctx.resilient_parsing:
            raise UsageError(
                f"{rest[0]}: is one argument too many; put an argument with spaces in quotes"
            )
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """`[OPTIONS] RUN [TEXT]...`."""
        arguments = [each for each in self.get_params(ctx) if _is_argument(each)]
        return ["[OPTIONS]", *map(_in_usage, arguments)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes a section per group."""
        arguments: list[tuple[str, str]] = []
        options: list[tuple[str, str]] = []
        groups: dict[str, list[tuple[str, str]]] = {}
        parameters: list[Any] = self.get_params(ctx)
        for parameter in parameters:
            if parameter.hidden:
                continue
            if _is_argument(parameter):
                section = arguments
            elif parameter.rich_help_panel is not None:
                section = groups.setdefault(parameter.rich_help_panel, [])
            else:
                section = options
            section.append((_in_help(parameter), _description(parameter)))
        last = "Other options" if groups else "Options"
        for title, section in {"Arguments": arguments, **groups, last: options}.items():
            if section:
                with formatter.section(title):
                    formatter.write_dl(section)


class Commands(TyperGroup):
    """The commands of `tuner`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Refuses an unknown command."""
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            shown = [each for each, command in self.commands.items() if not command.hidden]
            near = difflib.get_close_matches(name, shown, n=1, cutoff=0.7)
            advice = f"did you mean {near[0]}?" if near else "see `tuner --help`"
            raise UsageError(f"{name}: no such command; {advice}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Ends well where the reader of the output has gone; Typer would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            end_without_reader()


def end_without_reader() -> NoReturn:
    """Exits with 0, for the reader of the output has seen enough: `tuner leaderboard … | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes the rest there as it ends
    sys.exit(0)


def shown_name(parameter: Any) -> str:
    """A parameter as it is typed: the flag, or the argument's placeholder."""
    if _is_argument(parameter):
        return str(parameter.metavar or parameter.name.upper())
    return max(parameter.opts, key=len, default=str(parameter.name))


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _in_usage(argument: Any) -> str:
    name = shown_name(argument) if argument.required else f"[{shown_name(argument)}]"
    return name if argument.nargs == 1 else f"{name}..."


def _in_help(parameter: Any) -> str:
    if _is_argument(parameter):
        return shown_name(parameter)
    names = ", ".join(sorted(parameter.opts, key=len))
    if parameter.is_flag:
        return " / ".join([names, *parameter.secondary_opts])
    return f"{names} {parameter.metavar or '|'.join(parameter.type_descriptor.choices or ())}"


def _description(parameter: Any) -> str:
    default = parameter.default
    if default is None or isinstance(default, bool):
        return str(parameter.help)
    return f"{parameter.help} Default: {default}."
