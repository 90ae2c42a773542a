"""The tables of `tuner spaces`: the built-in spaces, one space, and every parameter that a space may vary."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from tuner.settings.hyperparameters import ARCHITECTURES, MODEL_PARAMETERS, Hyperparameters
from tuner.settings.space import SearchSpace
from tuner.terminal.tables import plain_table, printable


def builtin_spaces(spaces: Iterable[SearchSpace]) -> RenderableType:
    """One row per built-in space, and how to see more of one."""
    table = plain_table("space", "architectures", "parameters", "epochs", "")
    for space in spaces:
        table.add_row(
            space.name,
            str(len(space.architectures)),
            str(len(space.parameter_names)),
            str(space.max_epochs),
            printable(space.description),
        )
    more = "`tuner spaces NAME` shows one, `tuner spaces NAME --yaml` prints it to edit."
    return Group(table, Text(), Text(more))


def space_ranges(space: SearchSpace) -> RenderableType:
    """A space: its metric and every range, the shared ones first."""
    table = plain_table("architecture", "parameter", "range")
    for section, ranges in {"(all)": space.shared, **space.architectures}.items():
        for row, (parameter, content) in enumerate((ranges or {}).items()):
            table.add_row(
                printable(section if row == 0 else ""), printable(parameter), printable(content)
            )
        if not ranges and section != "(all)":
            table.add_row(printable(section), "-", "nothing of its own")
    return Group(
        printable(f"{space.name}: {space.description}" if space.description else space.name),
        printable(
            f"metric {_metric(space)}, at most {space.max_epochs} epochs per trial, "
            f"{len(space.baselines)} baselines"
        ),
        Text(),
        table,
        *_cost_on_a_gpu(space),
    )


def _metric(space: SearchSpace) -> str:
    """`val_accuracy (max)`; of F1, whose average it is."""
    name, mode = space.metric.name, space.metric.mode
    says_all = name.measure == name.plain_name
    return f"{name} ({mode})" if says_all else f"{name} ({name.measure}, {mode})"


def _cost_on_a_gpu(space: SearchSpace) -> list[Text]:
    """What recurrent dropout costs, where trials may have it."""
    slow = [
        printable(name).plain
        for name in space.architectures
        if any(each.recurrent_dropout for each in space.largest(name))
    ]
    if not slow:
        return []
    remark = f"On a GPU, recurrent dropout leaves cuDNN: a step takes about 25 times as long ({', '.join(slow)})."
    return [Text(), Text(remark)]


def variable_parameters() -> RenderableType:
    """Every parameter that a space may vary, and the architectures it may choose from."""
    parameters = plain_table("parameter", "default", "meaning")
    for name, field in Hyperparameters.model_fields.items():
        if name in MODEL_PARAMETERS:
            parameters.add_row(name, str(field.default), printable(field.description or ""))
    architectures = plain_table("architecture", "layers", "differs in")
    for architecture in ARCHITECTURES.values():
        defaults = ", ".join(f"{name} {value}" for name, value in architecture.defaults.items())
        architectures.add_row(architecture.name, architecture.summary, defaults)
    return Group(parameters, Text(), architectures)
