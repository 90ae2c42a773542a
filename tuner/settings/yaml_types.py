"""YAML 1.2's types for PyYAML, which parses well but knows those of YAML 1.1: `no` is false, `1:30` is 90, `010` is 8.

ruamel.yaml reads 1.2, but not its core schema either: dates, `1_000` and `0b1` have types in it. It takes about five
times as long to import and one and a half times as long to parse. Imported where YAML is read or written, so that
`tuner --help` need not load PyYAML.
"""

import re
from typing import Any

import yaml

from tuner.settings.yaml_files import OneLine

_TAG = "tag:yaml.org,2002:"
TEXT_TAGS = frozenset({f"{_TAG}str", f"{_TAG}merge"})
INT_TAG = f"{_TAG}int"
_FLOAT_TAG = f"{_TAG}float"
# https://yaml.org/spec/1.2.2/#103-core-schema, with the characters that values begin with; and `<<`, which is older.
_TYPES = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", "<<", ["<"]),
)


# Earlier versions wrote these texts as YAML 1.1: `name: 0918` without quotes. The last two are in fingerprints.
_TEXTS = frozenset({"name", "source", "vectors", "text_column", "label_column", "space", "data"})
_YAML_1_1 = yaml.resolver.Resolver()


class Loader(yaml.SafeLoader):
    """SafeLoader with the types of YAML 1.2 and without tags."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own; of 1.1 none

    def fetch_tag(self) -> None:
        """Called where a tag begins."""
        problem = "tags (!name) are not read; remove it"
        raise yaml.scanner.ScannerError(None, None, problem, self.get_mark())

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Reads as text the values that are texts, where YAML 1.1 does."""
        node = super().compose_mapping_node(anchor)
        for key, value in node.value:
            if value.tag in (INT_TAG, _FLOAT_TAG) and key.id == "scalar" and key.value in _TEXTS:
                tag = _YAML_1_1.resolve(yaml.ScalarNode, value.value, (True, False))  # type: ignore[no-untyped-call]
                if tag == f"{_TAG}str":
                    value.tag = tag
        return node


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


Loader.add_constructor(INT_TAG, _construct_int)


class Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what YAML 1.1 or 1.2 would not read as text, so that readers of either read the same.

    It escapes what is not printable; in single quotes U+0085 would be read back as a space.
    """


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


def _represent_one_line(dumper: yaml.SafeDumper, items: OneLine) -> yaml.SequenceNode:
    return dumper.represent_sequence(f"{_TAG}seq", items, flow_style=True)


Dumper.add_representer(str, _represent_text)
Dumper.add_representer(OneLine, _represent_one_line)
for _name, _pattern, _first in _TYPES:
    for _either in (Loader, Dumper):
        _either.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^(?:{_pattern})$"), _first)
