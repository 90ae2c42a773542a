"""What the command line's parser refuses, in the words of this package: where, rule, what was given, what to write."""

import difflib
import re
from typing import Any

import typer
from pydantic import ValidationError

from tuner.settings.validation import first_problem

_CHOICE = re.compile(r"(?P<given>.+) is not one of (?P<choices>.+)\.")
_COMMAND = re.compile(r"No such command '(?P<given>.*?)'\.")
_EXTRA = re.compile(r"Got unexpected extra argument\(?s?\)? \((?P<given>.*)\)")


def in_our_words(error: typer.TyperException) -> str:
    """One line for a refusal of the parser; its own words where it is none of those that are known here."""
    # The parser has no public names for its errors.
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    match type(error).__name__:
        case "NoSuchOption":
            return _no_such_option(error, context)
        case "BadOptionUsage" if "requires an argument" in error.message:
            return f"{getattr(error, 'option_name', '')}: needs a value; write one after it"
        case "MissingParameter" if parameter is not None:
            return f"{_name(parameter)}: is missing; {_look_up(context)}"
        case "BadParameter" if parameter is not None:
            return f"{_name(parameter)}: {_broken_rule(error)}"
    message = error.format_message()
    if found := _COMMAND.match(message):
        return _no_such_command(found["given"], context)
    if found := _EXTRA.fullmatch(message):
        return f"{found['given']}: is one argument too many; put what has spaces in it in quotes"
    return message


def _broken_rule(error: typer.TyperException) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return error.message
    problem = first_problem(cause, field=False)
    if found := _CHOICE.fullmatch(problem):
        return f"must be one of {found['choices']}, got {found['given']}"
    return problem


def _no_such_option(error: Any, context: Any) -> str:
    shown = {
        name
        for parameter in (context.command.params if context is not None else ())
        if not getattr(parameter, "hidden", False)
        for name in parameter.opts
    }
    near = [name for name in error.possibilities or () if name in shown]
    advice = f"did you mean {near[0]}?" if near else _look_up(context)
    return f"{error.option_name}: no such option; {advice}"


def _no_such_command(given: str, context: Any) -> str:
    commands = getattr(getattr(context, "command", None), "commands", {})
    shown = [name for name, command in commands.items() if not command.hidden]
    near = difflib.get_close_matches(given, shown, n=1, cutoff=0.7)
    return f"{given}: no such command; " + (
        f"did you mean {near[0]}?" if near else "see `tuner --help`"
    )


def _name(parameter: Any) -> str:
    """As it is typed: the flag, or the argument's placeholder."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper()).strip("[]").removesuffix("…")
    return max(parameter.opts, key=len, default=str(parameter.name))


def _look_up(context: Any) -> str:
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return f"see `{' '.join(['tuner', *names])} --help`"
