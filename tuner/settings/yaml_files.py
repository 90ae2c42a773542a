"""Reads YAML that strangers may have written: no tags, no duplicate keys, no bombs, `1e-3` is a number.

Plain `yaml.safe_load` already refuses to build objects; this adds what it lets through: a size limit, a limit on what
aliases expand to, endless numbers, tags that it crashes on (`!!int ''`), keys that are not text, and keys given twice
(where the last one would silently win).
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tuner.errors import UsageError

_MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_MAX_DIGITS = 100  # Python refuses to print an int of more than 4,300
_TEXT_TAGS = {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}
_INT_TAG = "tag:yaml.org,2002:int"


class _Loader(yaml.SafeLoader):
    """SafeLoader without tags that reads `1e-3` as YAML 1.2 does: as a number (YAML 1.1 wants `1.0e-3`)."""

    def fetch_tag(self) -> None:
        """Called where a tag begins."""
        problem = "tags (!name) are not read; remove it"
        raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())


class _Dumper(yaml.SafeDumper):
    """SafeDumper that escapes what is not printable; in single quotes U+0085 would be read back as a space."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
# The writer must know it too, or text such as `1e5` would be written bare and read back as a number.
for _either in (_Loader, _Dumper):
    _either.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def read_yaml(path: Path, error: Callable[[str], UsageError]) -> dict[str, Any]:
    """The mapping in the file at `path`.

    Args:
        path: a YAML file with one document, a mapping with text keys.
        error: makes the error to raise, from its message.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)  # no size is known of a pipe: --config <(…)
        if len(content) > _MAX_BYTES:
            raise error(f"{path}: a file of at most {_MAX_BYTES:,} bytes is read; shorten it")
        text = content.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise error(f"{path}: not UTF-8 text (byte {cause.start}); save it as UTF-8") from cause
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror}") from cause
    return parse_yaml(text, str(path), error)


def parse_yaml(text: str, where: str, error: Callable[[str], UsageError]) -> dict[str, Any]:
    """The mapping in `text`; `where` names its origin in messages."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _check_size(node, where, error)
                _check_keys(node, where, error)
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark
        line = f" line {mark.line + 1}:" if mark else ""
        raise error(
            f"{where}:{line} not valid YAML: {_flat(cause.problem or cause.context)}"
        ) from cause
    except yaml.YAMLError as cause:
        raise error(f"{where}: not valid YAML: {_flat(str(cause))}") from cause
    except RecursionError as cause:
        raise error(f"{where}: nested too deeply; a few levels are enough") from cause
    except (ValueError, OverflowError) as cause:  # e.g. the date 2020-99-99, an int of 5,000 digits
        raise error(f"{where}: not valid YAML: {_flat(str(cause))}") from cause
    if not isinstance(content, dict):
        raise error(
            f"{where}: must be a mapping (`key: value` lines), got {type(content).__name__}"
        )
    return content


def to_yaml(content: dict[str, Any]) -> str:
    """YAML text of plain data, keys in the order given."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _check_size(root: yaml.Node, where: str, error: Callable[[str], UsageError]) -> None:
    """Refuses aliases that expand to more than `_MAX_NODES` nodes, or into themselves."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise error(
                f"{where}: line {node.start_mark.line + 1}: an alias contains itself; remove it"
            )
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(size(child) for child in node.value)
        elif isinstance(node, yaml.MappingNode):
            total += sum(size(key) + size(value) for key, value in node.value)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    if size(root) > _MAX_NODES:
        raise error(
            f"{where}: its aliases expand to more than {_MAX_NODES:,} values; write them out"
        )


def _check_keys(root: yaml.Node, where: str, error: Callable[[str], UsageError]) -> None:
    """Refuses keys given twice, keys that are not text, and numbers that nobody means."""
    seen: set[int] = set()
    pending = [root]
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _INT_TAG and len(node.value) > _MAX_DIGITS:
                line = node.start_mark.line + 1
                raise error(
                    f"{where}: line {line}: a number of more than {_MAX_DIGITS} digits; shorten it"
                )
        elif isinstance(node, yaml.SequenceNode):
            pending.extend(node.value)
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise error(f"{where}: line {line}: a key must be text")
                if key.tag not in _TEXT_TAGS:
                    raise error(
                        f"{where}: line {line}: a key must be text, got {key.value}; quote it"
                    )
                if key.value in keys:
                    raise error(f"{where}: line {line}: {key.value!r} is given twice; remove one")
                keys.add(key.value)
                pending.append(value)


def _flat(text: str | None) -> str:
    return " ".join((text or "unreadable").split())
