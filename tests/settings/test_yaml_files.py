"""Untrusted YAML is read as YAML 1.2, or refused in one line."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tuner.errors import ConfigError, SpaceError
from tuner.settings.yaml_files import parse_yaml, read_yaml, to_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


def parse(text: str) -> dict[str, object]:
    return parse_yaml(text, "s.yaml", SpaceError)


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", "1.0e-3", "0.001", "+1e-3"])
def test_a_number_with_an_exponent_is_a_number(text: str) -> None:
    assert parse(f"a: {text}") == {"a": 0.001}


@pytest.mark.parametrize(
    "text",
    [
        *("e3", "1e", "1e-3x", "'1e-3'", "1_000", "0b1", "-0x1f", "1:30", "190:20:30.15"),
        *("no", "No", "yes", "on", "OFF", "y", "n", "nUll", "tRUE"),
        *("2020-01-01", "2020-99-99", "2001-12-14t21:59:43.10-05:00", "=", ".inf5", "inf", "nan"),
    ],
)
def test_values_of_yaml_1_1_only_are_text(text: str) -> None:
    assert parse(f"a: {text}") == {"a": text.strip("'")}
    assert parse(f"{text}: a") == {text.strip("'"): "a"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("-7", -7),
        ("0o17", 15),
        ("0xFf", 255),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("True", True),
        ("FALSE", False),
        ("Null", None),
        ("~", None),
        ("", None),
    ],
)
def test_a_value_of_yaml_1_2_has_its_type(text: str, value: object) -> None:
    read = parse(f"a: {text}")["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "^s.yaml: its aliases expand to more than 100,000 values; write them out$"),
        ("a: &x [*x]", "^s.yaml: line 1: an alias contains itself; remove it$"),
        ("a: &x\n  b: {c: *x}", "^s.yaml: line .: an alias contains itself; remove it$"),
        ("a: *x", "^s.yaml: line 1: not valid YAML: found undefined alias 'x'$"),
        ("a: !!python/object:os.system ls", "^s.yaml: line 1: not valid YAML: tags .* remove it$"),
        (
            "a: 1\nb: !mine 3",
            "^s.yaml: line 2: not valid YAML: tags .!name. are not read; remove it$",
        ),
        ("a: !!int ''", "line 1: not valid YAML: tags"),
        ("a: !!bool maybe", "line 1: not valid YAML: tags"),
        ("a: !!timestamp never", "line 1: not valid YAML: tags"),
        ("a: 1\nb: 2\na: 3", "^s.yaml: line 3: 'a' is given twice; remove one$"),
        ("a: {b: 1, 'b': 2}", "^s.yaml: line 1: 'b' is given twice; remove one$"),
        ("? [1, 2]\n: 3", "^s.yaml: line 1: a key must be text$"),
        ("a: {1: 2}", "^s.yaml: line 1: a key must be text, got 1; quote it$"),
        ("true: 2", "^s.yaml: line 1: a key must be text, got true; quote it$"),
        (f"a: {'9' * 101}", "^s.yaml: line 1: a number of more than 100 digits; shorten it$"),
        (f"a: 0x{'f' * 5000}", "^s.yaml: line 1: a number of more than 100 digits"),
        ("a: " + "[" * 2000, "^s.yaml: (nested too deeply|line 1: not valid)"),
        ("a: [1", "^s.yaml: line 1: not valid YAML: expected ',' or ']', but got '<stream end>'$"),
        ("a: 'x", "^s.yaml: line 1: not valid YAML: found unexpected end of stream$"),
        ("a: \t- b", "^s.yaml: line 1: not valid YAML"),
        ('a: "\\UFFFFFFFF"', "^s.yaml: not valid YAML: "),
        ('a: "\\U00110000"', "^s.yaml: not valid YAML: "),
        ("a: \0", "^s.yaml: not valid YAML: unacceptable character #x0000"),
        ("a: 1\n---\nb: 2", "^s.yaml: line 2: not valid YAML: but found another document$"),
        ("- a", r"^s.yaml: must be a mapping \(`key: value` lines\), got list$"),
        ("just text", "^s.yaml: must be a mapping .*, got str$"),
        ("# nothing", "^s.yaml: must be a mapping .*, got NoneType$"),
    ],
    ids=lambda value: value[:20],
)
def test_bad_yaml_is_refused_in_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as refused:
        parse(text)
    assert "\n" not in str(refused.value)


def test_aliases_of_a_reasonable_size_are_read() -> None:
    assert parse("a: &x {b: 1}\nc: [*x, *x]\nd: {<<: *x, e: 2}") == {
        "a": {"b": 1},
        "c": [{"b": 1}, {"b": 1}],
        "d": {"b": 1, "e": 2},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: " + b"x" * 1_000_000, "a file of at most 1,000,000 bytes is read; shorten it"),
        ("a: Käse".encode("latin-1"), r"not UTF-8 text \(byte 4\); save it as UTF-8"),
        (b"\xff\xfea\x00:\x00", r"not UTF-8 text \(byte 0\); save it as UTF-8"),
    ],
    ids=["large", "latin-1", "utf-16"],
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"s.yaml: {message}$"):
        read_yaml(path, ConfigError)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"no\.yaml: cannot be read: No such file or directory$"):
        read_yaml(tmp_path / "no.yaml", SpaceError)
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory$"):
        read_yaml(tmp_path, ConfigError)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("a: 好", encoding="utf-8-sig")
    assert read_yaml(path, SpaceError) == {"a": "好"}


def test_an_endless_pipe_is_read_up_to_the_limit(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write_without_end() -> None:
        descriptor = os.open(pipe, os.O_WRONLY)
        with suppress(BrokenPipeError):
            while True:
                os.write(descriptor, b"a" * 65536)
        os.close(descriptor)

    writer = threading.Thread(target=write_without_end)
    writer.start()
    with pytest.raises(SpaceError, match="a file of at most 1,000,000 bytes"):
        read_yaml(pipe, SpaceError)
    writer.join(timeout=10)
    assert not writer.is_alive()


@pytest.mark.parametrize(
    "text",
    [
        *("1e5", "0E0", "12", "1.5", "0o17", "true", "null", "~", "=", "2020-01-01", "a\x85b"),
        *("no", "On", "1:30", "010", "1_000", "<<"),
    ],
)
def test_text_that_looks_like_something_else_is_text_to_every_reader(text: str) -> None:
    written = to_yaml({text: text})
    assert parse(written) == {text: text}
    assert yaml.safe_load(written) == {text: text}  # as YAML 1.1


def test_yaml_of_earlier_versions_reads_the_same() -> None:
    content = {
        "created": "2026-01-02T03:04:05+00:00",
        "labels": ["no", "1:30", "010"],
        "rate": 1e-05,
    }
    assert parse(yaml.safe_dump(content)) == content


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=10)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=examples(80))
@given(content=st.dictionaries(st.text(max_size=5), _PLAIN, max_size=4))
def test_plain_data_written_as_yaml_reads_back_the_same(content: dict[str, object]) -> None:
    assert parse(to_yaml(content)) == content
    assert list(parse(to_yaml(content))) == list(content)
