"""Declares a setting once, in the annotation of its field. Flags, keywords, messages and pages follow from it.

    max_epochs: Annotated[
        int | None, Field(ge=1), Setting(Group.BUDGET, "Most epochs of a trial", "N", unset="the space's")
    ] = None

Must not import Typer: the command line is one reader of several.
"""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tuner.errors import ConfigError
from tuner.settings.validation import first_problem

# How a message calls a setting: `--max-epochs` or `max_epochs`.
Names = Literal["flags", "keywords"]
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Model = TypeVar("_Model", bound=BaseModel)


class Group(StrEnum):
    """Where help and the reference page list a setting."""

    MODEL = "Model"
    DATA = "Data"
    BUDGET = "Budget"
    RESOURCES = "Resources"
    SEARCH = "Search"
    TRACKING = "Tracking"


@dataclass(frozen=True)
class Setting:
    """The texts about a setting, besides its type and its default."""

    group: Group
    help: str  # one sentence or more, without the last full stop
    metavar: str | None = None  # stands for the value in help; None: an enum's values
    unset: str | None = None  # the default in words; None: the field's default
    name: str | None = None  # as a keyword, and so as a flag; None: the field's name
    is_hidden: bool = False
    has_opposite: bool = True  # a switch that a settings file can have set: a flag sets it off


@dataclass(frozen=True)
class DeclaredSetting:
    """A setting as its field declares it."""

    path: tuple[str, ...]  # of fields, from the outermost model
    field: FieldInfo
    setting: Setting

    @property
    def keyword(self) -> str:
        """The name of the Python keyword."""
        return self.setting.name or self.path[-1]

    @property
    def flag(self) -> str:
        """The option of a command."""
        return "--" + self.keyword.replace("_", "-")

    @property
    def key(self) -> str:
        """The place in a settings file such as `run.yaml`."""
        return ".".join(self.path)

    @property
    def in_file(self) -> str:
        """The form that a settings file has it in, such as `data: {seed: VALUE}`."""
        *sections, name = self.path
        inner = f"{name}: VALUE"
        for section in reversed(sections):
            inner = f"{section}: {{{inner}}}"
        return inner

    @property
    def is_switch(self) -> bool:
        """Whether the flag takes no value."""
        return self.field.annotation is bool

    @property
    def is_list(self) -> bool:
        """Whether the flag may be given several times."""
        return get_origin(self.field.annotation) is tuple and ... in get_args(self.field.annotation)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of an enum; none for other types."""
        for annotation in (self.field.annotation, *get_args(self.field.annotation)):
            if isinstance(annotation, type) and issubclass(annotation, StrEnum):
                return tuple(str(choice) for choice in annotation)
        return ()

    @property
    def metavar(self) -> str | None:
        """The placeholder for the value in help; None where the flag takes no value."""
        return None if self.is_switch else self.setting.metavar or "|".join(self.choices)

    @property
    def default(self) -> str | None:
        """The default in words; None if there is none to show."""
        if self.setting.unset is not None:
            return self.setting.unset
        default = self.field.default
        if default is PydanticUndefined or default is None or isinstance(default, bool):
            return None
        return f"{default:g}" if isinstance(default, float) else str(default)

    @property
    def description(self) -> str:
        """Its description and its default, in whole sentences."""
        return f"{self.setting.help}." + (f" Default: {self.default}." if self.default else "")

    @property
    def keyword_type(self) -> Any:
        """The type of the Python keyword; None always stands for a setting that is not given."""
        return _accepted(Annotated[self.field.annotation, *self.field.metadata]) | None

    def named(self, names: Names) -> str:
        """Its name in messages."""
        return self.flag if names == "flags" else self.keyword

    def value_in(self, content: Mapping[str, Any]) -> Any:
        """The value in the result of `by_path`; None where it is not given."""
        value: Any = content
        for part in self.path:
            value = (value or {}).get(part)
        return value

    def with_default(self, unset: str) -> "DeclaredSetting":
        """The same setting for a command that has another default, in words."""
        return replace(self, setting=replace(self.setting, unset=unset))


def declared_settings(model: type[BaseModel]) -> tuple[DeclaredSetting, ...]:
    """The settings that the fields of `model` declare, and those of the models in its fields, in their order."""
    found: list[DeclaredSetting] = []
    for name, field in model.model_fields.items():
        setting = next((each for each in field.metadata if isinstance(each, Setting)), None)
        if setting is not None:
            found.append(DeclaredSetting((name,), field, setting))
            continue
        for annotation in (field.annotation, *get_args(field.annotation)):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found += [
                    replace(inner, path=(name, *inner.path))
                    for inner in declared_settings(annotation)
                ]
    return tuple(found)


def by_path(settings: Iterable[DeclaredSetting], keywords: Mapping[str, object]) -> dict[str, Any]:
    """The values of `keywords` where the model has them: `{"data": {"source": …}, "max_epochs": …}`.

    Those that are None are not given.

    Raises:
        TypeError: there is no such keyword.
    """
    by_keyword = {each.keyword: each for each in settings}
    refuse_unknown(by_keyword.values(), keywords)
    content: dict[str, Any] = {}
    for keyword, value in keywords.items():
        if value is None:
            continue
        *parents, name = by_keyword[keyword].path
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
        section[name] = value
    return content


def refuse_idle(
    settings: Iterable[DeclaredSetting], given: Mapping[str, object], names: Names, of: str
) -> None:
    """Refuses settings that describe something that is not given.

    Args:
        given: the values by keyword; None is not given.
        of: the option or argument of that.

    Raises:
        ConfigError: there is such a setting.
    """
    for each in settings:
        if given.get(each.keyword) is not None:
            raise ConfigError(
                f"{each.named(names)}: describes {of}, which is not given; give both, or leave this out"
            )


def setting_at(
    settings: Iterable[DeclaredSetting], location: tuple[int | str, ...]
) -> DeclaredSetting | None:
    """The setting that a location in the model lies in."""
    return next((each for each in settings if location[: len(each.path)] == each.path), None)


def validated(model: type[_Model], given: Mapping[str, object], names: Names) -> _Model:
    """The model of these values.

    Raises:
        ConfigError: in one line, which setting breaks which rule.
    """
    try:
        return model.model_validate(given)
    except ValidationError as cause:
        problem = first_problem(cause)
        setting = setting_at(declared_settings(model), problem.location)
        if setting is None:
            raise ConfigError(str(problem)) from cause
        raise ConfigError(f"{setting.named(names)}: {problem.rule}") from cause


def declared_in(model: type[_Model], settings: Mapping[str, object], names: Names) -> _Model:
    """The model of those of `settings` that it declares. None is not given; others are left to others.

    Raises:
        ConfigError: in one line, which setting breaks which rule.
    """
    declared = declared_settings(model)
    own = {each.keyword: settings.get(each.keyword) for each in declared}
    return validated(model, by_path(declared, own), names)


def refuse_unknown(settings: Iterable[DeclaredSetting], keywords: Iterable[str]) -> None:
    """Refuses keywords that none of `settings` has, as Python does.

    Raises:
        TypeError: there is one.
    """
    known = [each.keyword for each in settings]
    for keyword in keywords:
        if keyword not in known:
            near = difflib.get_close_matches(keyword, known, n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"unexpected keyword argument {keyword!r}{advice}")


def expand(
    function: _Function, parameters: Iterable[inspect.Parameter], *, doc: str | None = None
) -> _Function:
    """Has `function` show `parameters` where its signature has `**settings`.

    Args:
        function: takes the parameters as `**settings`.
        parameters: keyword-only ones.
        doc: the text that replaces `{settings}` in the docstring.
    """
    signature = inspect.signature(function)
    own = signature.parameters.values()
    positional = [each for each in own if each.kind is each.POSITIONAL_OR_KEYWORD]
    keyword_only = [each for each in own if each.kind is each.KEYWORD_ONLY]
    function.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*positional, *parameters, *keyword_only]
    )
    if doc is not None and function.__doc__ is not None:
        function.__doc__ = inspect.cleandoc(function.__doc__).replace("{settings}", doc)
    return function


def _accepted(annotation: Any) -> Any:
    """The type that may be given for a value of type `annotation`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *metadata = get_args(annotation)
        for each in metadata:
            if (
                isinstance(each, BeforeValidator)
                and each.json_schema_input_type is not PydanticUndefined
            ):
                return each.json_schema_input_type
        return _accepted(base)
    if origin in (Union, UnionType):
        return reduce(or_, map(_accepted, get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return Literal[tuple(str(choice) for choice in annotation)]
    return annotation
