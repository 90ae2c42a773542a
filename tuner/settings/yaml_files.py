"""Reads YAML 1.2 from untrusted files: no tags, no duplicate keys, no bombs.

`yaml.SafeLoader` already refuses to build objects; this adds what it lets through: a size limit, a limit on what
aliases expand to, endless numbers, tags, keys that are not text, and keys given twice (where the last one would
silently win). `yaml_types` has the types: `no` is text, `1e-3` a number.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuner.errors import UsageError

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_MAX_DIGITS = 100  # Python refuses to print an int of more than 4,300
# `tuner spaces NAME > file` has written the table in place of the space.
_SHOWN_SPACE = re.compile(r"^architecture +parameter +range *$", re.MULTILINE)
_IS_SHOWN_SPACE = (
    "this is a space as `tuner spaces NAME` shows it; `tuner spaces NAME --yaml` prints it to edit"
)


class OneLine(list[Any]):
    """A list that `to_yaml` writes in one line: `[35, 15]`."""


def read_yaml(
    path: Path, error: Callable[[str], UsageError], *, times_larger: int = 1
) -> dict[str, Any]:
    """The mapping in the file at `path`.

    Args:
        path: a YAML file with one document, a mapping with text keys.
        error: makes the error to raise, from its message.
        times_larger: than a person writes files it may be, and its content.
    """
    most = _MAX_BYTES * times_larger
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)  # no size is known of a pipe: --config <(…)
        if len(content) > most:
            raise error(f"{path}: a file of at most {most:,} bytes is read; shorten it")
        text = content.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(f"{path}: not UTF-8 text (byte {cause.start}); save it as UTF-8") from cause
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror}") from cause
    return parse_yaml(text, str(path), error, max_nodes=_MAX_NODES * times_larger)


def parse_yaml(
    text: str, where: str, error: Callable[[str], UsageError], *, max_nodes: int = _MAX_NODES
) -> dict[str, Any]:
    """The mapping in `text`; `where` names its origin in messages, and aliases expand to `max_nodes` at most."""
    import yaml

    from tuner.settings.yaml_types import Loader

    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _check_size(node, where, error, max_nodes)
                _check_keys(node, where, error)
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark
        line = f" line {mark.line + 1}:" if mark else ""
        help = f"; {_IS_SHOWN_SPACE}" if _SHOWN_SPACE.search(text) else ""
        raise error(
            f"{where}:{line} not valid YAML: {_flat(cause.problem or cause.context)}{help}"
        ) from cause
    except (yaml.YAMLError, ValueError, OverflowError) as cause:  # "\UFFFFFFFF" is no character
        raise error(f"{where}: not valid YAML: {_flat(str(cause))}") from cause
    except RecursionError as cause:
        raise error(f"{where}: nested too deeply; a few levels are enough") from cause
    if not isinstance(content, dict):
        raise error(
            f"{where}: must be a mapping (`key: value` lines), got {type(content).__name__}"
        )
    return content


def to_yaml(content: dict[str, Any]) -> str:
    """YAML text of plain data, keys in the order given."""
    import yaml

    from tuner.settings.yaml_types import Dumper

    text: str = yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _check_size(root: Any, where: str, error: Callable[[str], UsageError], max_nodes: int) -> None:
    """Refuses, in PyYAML's nodes, aliases that expand to more than `max_nodes` nodes, or into themselves."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise error(
                f"{where}: line {node.start_mark.line + 1}: an alias contains itself; remove it"
            )
        open_nodes.add(id(node))
        total = 1
        if node.id == "sequence":
            total += sum(size(child) for child in node.value)
        elif node.id == "mapping":
            total += sum(size(key) + size(value) for key, value in node.value)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    if size(root) > max_nodes:
        raise error(
            f"{where}: its aliases expand to more than {max_nodes:,} values; write them out"
        )


def _check_keys(root: Any, where: str, error: Callable[[str], UsageError]) -> None:
    """Refuses, in PyYAML's nodes, keys given twice, keys that are not text, and numbers with absurdly many digits."""
    from tuner.settings.yaml_types import INT_TAG, TEXT_TAGS

    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.id == "scalar":
            if node.tag == INT_TAG and len(node.value) > _MAX_DIGITS:
                line = node.start_mark.line + 1
                raise error(
                    f"{where}: line {line}: a number of more than {_MAX_DIGITS} digits; shorten it"
                )
        elif node.id == "sequence":
            pending.extend(node.value)
        elif node.id == "mapping":
            keys: set[str] = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.id != "scalar":
                    raise error(f"{where}: line {line}: a key must be text")
                if key.tag not in TEXT_TAGS:
                    raise error(
                        f"{where}: line {line}: a key must be text, got {key.value}; quote it"
                    )
                if key.value in keys:
                    raise error(f"{where}: line {line}: {key.value!r} is given twice; remove one")
                keys.add(key.value)
                pending.append(value)


def _flat(text: str | None) -> str:
    return " ".join((text or "unreadable").split())
