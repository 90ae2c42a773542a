"""Puts the refusals of the command line's parser into our words: place, rule, the given value, and what to write."""

from typing import Any

import typer
from pydantic import ValidationError

from tuner.cli.commands import shown_name
from tuner.settings.validation import first_problem


def in_our_words(error: typer.TyperException) -> str:
    """One line for a refusal of the parser; its own message if it is of an unknown kind."""
    # Typer exports only some of its error classes, so they are distinguished by their attributes.
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    flag = getattr(error, "option_name", None)
    if flag is not None and hasattr(error, "possibilities"):
        return _no_such_option(flag, error.possibilities or (), context)
    if flag is not None:
        is_switch = any(
            flag in (*each.opts, *each.secondary_opts) and each.is_flag
            for each in _parameters(context)
            if each.param_type_name == "option"
        )
        return f"{flag}: " + (
            "takes no value; leave it out" if is_switch else "needs a value; write one after it"
        )
    if parameter is not None and hasattr(error, "param_type"):
        return f"{shown_name(parameter)}: is missing; {_look_up(context)}"
    if parameter is not None:
        return f"{shown_name(parameter)}: {_broken_rule(error, parameter)}"
    return error.format_message()


def _broken_rule(error: typer.TyperException, parameter: Any) -> str:
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return error.message
    choices = parameter.type_descriptor.choices
    if choices is not None:
        given = cause.errors()[0]["input"]
        return f"must be one of {', '.join(repr(str(each)) for each in choices)}, got {given!r}"
    return first_problem(cause).rule


def _no_such_option(flag: str, possibilities: Any, context: Any) -> str:
    shown = {
        name
        for each in _parameters(context)
        if not getattr(each, "hidden", False)
        for name in each.opts
    }
    near = [name for name in possibilities if name in shown]
    return f"{flag}: no such option; " + (f"did you mean {near[0]}?" if near else _look_up(context))


def _parameters(context: Any) -> Any:
    return () if context is None else context.command.params


def _look_up(context: Any) -> str:
    names: list[str] = []
    while context is not None and context.parent is not None:
        names.insert(0, context.info_name)
        context = context.parent
    return f"see `{' '.join(['tuner', *names])} --help`"
