"""Search spaces that are refused: in one line, with the field, the rule and what was given."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from tuner.errors import SpaceError
from tuner.settings.builtin import find_space
from tuner.settings.space import SearchSpace

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.sampled_from(["lstm", "cnn_lstm", "a:b", "learning_rate", "seed", "max", "val_loss"])
)
_KEYS = st.sampled_from(
    ["float", "int", "choice", "log", "step", "lstm", "a:b", "lstm_units", "name", "mode", "x\n"]
) | st.text(max_size=4)
WILD = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


def wild_mappings(*fields: str) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with some of `fields` in them, anything below."""
    return st.dictionaries(st.sampled_from(fields) | _KEYS, WILD, max_size=6)


def from_text(text: str) -> SearchSpace:
    return SearchSpace.from_text(text, "s.yaml")


def with_parameter(parameter: str, architecture: str = "lstm") -> str:
    return f"name: s\nshared: {{{parameter}}}\narchitectures: {{{architecture}: }}\n"


def with_baseline(baseline: str) -> str:
    return (
        "name: s\nshared: {lstm_units: {int: [8, 64], step: 8}, batch_size: 32}\n"
        f"architectures: {{lstm: , cnn_lstm: {{filters: {{int: [8, 32]}}}}}}\nbaselines: [{baseline}]\n"
    )


def loads_or_is_refused_in_one_line(text: str) -> None:
    message = "s.yaml:"
    try:
        from_text(text)
    except SpaceError as error:
        message = str(error)
    assert message.startswith("s.yaml:")
    assert message.isprintable()


@settings(max_examples=examples(100))
@given(text=st.text(max_size=60) | st.text("{}[]:,!&*<-|>'\"%@` \n0x1e.~a", max_size=40))
def test_any_text_loads_or_is_refused_in_one_line(text: str) -> None:
    loads_or_is_refused_in_one_line(text)


@settings(max_examples=examples(100))
@given(
    content=wild_mappings("name", "metric", "max_epochs", "shared", "architectures", "baselines")
)
def test_any_mapping_loads_or_is_refused_in_one_line(content: dict[str, Any]) -> None:
    content.setdefault("name", "s")
    content.setdefault("architectures", {"lstm": None})
    loads_or_is_refused_in_one_line(yaml.safe_dump(content))


@settings(max_examples=examples(100))
@given(parameter=WILD, name=st.sampled_from(["lstm_units", "learning_rate", "pooling", "warmup"]))
def test_any_parameter_loads_or_is_refused_in_one_line(parameter: object, name: str) -> None:
    content = {"name": "s", "shared": {name: parameter}, "architectures": {"lstm": {}}}
    loads_or_is_refused_in_one_line(yaml.safe_dump(content))


@settings(max_examples=examples(100))
@given(name=st.text(max_size=300))
def test_any_name_of_a_space_is_found_or_refused_in_one_line(name: str) -> None:
    message = ""
    try:
        find_space(name)
    except SpaceError as error:
        message = str(error)
    assert message.isprintable()


# -- what is refused, and in which words ----------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            "lstm_units: {int: [256, 32]}",
            "shared.lstm_units: low must be below high, got 256 and 32; swap them",
        ),
        (
            "lstm_units: {int: [2000001, 1000000]}",
            "shared.lstm_units: low must be below high, got 2000001 and 1000000; swap them",
        ),
        (
            "learning_rate: {float: [0.01, 0.01]}",
            "shared.learning_rate: low must be below high, got 0.01 twice; write the value alone: 0.01",
        ),
        (
            "warmup: {float: [0, 0.5], log: true}",
            "shared.warmup: low must be above 0 with log: true, got 0.0",
        ),
        (
            "lstm_units: {int: [8, 64], log: true, step: 8}",
            "shared.lstm_units: log and step exclude each other; remove one",
        ),
        (
            "lstm_units: {int: [1, 10], step: 4}",
            "shared.lstm_units: high must be low and some whole steps, got 1, 10 and step 4",
        ),
        (
            "warmup: {float: [0, .inf]}",
            r"shared.warmup.float\[1\]: must be a finite number, got inf",
        ),
        (
            "weight_decay: {float: [0, 1e300]}",
            r"shared.weight_decay: bounds must lie between -1e\+15 and 1e\+15",
        ),
        ("lstm_units: {int: [8, 64], step: 0}", "shared.lstm_units.step: must be greater than or"),
        ("lstm_units: {int: [8]}", r"shared.lstm_units.int\[1\]: is missing; add it"),
        (
            "lstm_units: {int: [1, 2, 3]}",
            r"shared.lstm_units.int: takes at most 2, got \[1, 2, 3\]",
        ),
        ("lstm_units: {int: 3}", "shared.lstm_units.int: must be a list, got 3"),
        (
            "lstm_units: {int: [1, 2.5]}",
            r"shared.lstm_units.int\[1\]: must be a whole number, got 2.5",
        ),
        (
            "lstm_units: {int: [1, b]}",
            r"shared.lstm_units.int\[1\]: must be a whole number, got 'b'",
        ),
        (
            "lstm_units: {float: [8, 64]}",
            "shared.lstm_units: lstm_units is a whole number; write int instead of float",
        ),
        ("lstm_units: 32.5", "shared.lstm_units: must be a whole number, got 32.5"),
        ("lstm_units: {choice: [32, 64.5]}", "shared.lstm_units: must be a whole number, got 64.5"),
        ("lstm_units: '32'", "shared.lstm_units: must be a number, got '32'"),
        ("batch_size: true", "shared.batch_size: must be a number, got True"),
        ("batch_size: {choice: [32, 64, 32]}", "shared.batch_size: 32 is given twice; remove one"),
        ("batch_size: {choice: []}", r"shared.batch_size.choice: needs at least 1, got \[\]"),
        (
            "batch_size: {choice: [[32]]}",
            r"shared.batch_size.choice\[0\]: must be one finite number, text, true or false, got \[32\]",
        ),
        (
            "learning_rate: .nan",
            "shared.learning_rate: must be one finite number, text, true or false, got nan",
        ),
        (
            "learning_rate: {floot: [1, 2]}",
            r"shared.learning_rate: must be \{float: \[low, high\]\}, .* or one value, got \{'floot'",
        ),
        ("learning_rate: {float: [1, 2], int: [1, 2]}", "shared.learning_rate: must be {float:"),
        ("learning_rate: ", "shared.learning_rate: must be {float: .*, got None"),
        (
            "learning_rate: {float: [0.1, 1], lgo: true}",
            "learning_rate.lgo: unknown key; remove it",
        ),
        ("lstm_unit: 3", "shared.lstm_unit: no such parameter; did you mean lstm_units?"),
        ("xyz: 3", "shared.xyz: no such parameter; `tuner spaces --parameters` lists them"),
        ("architecture: lstm", "shared.architecture: no such parameter"),
        ("filters: 32", "shared.filters: lstm takes no filters; move it under the architectures"),
        ("lstm_units: 0", "shared.lstm_units: must be greater than or equal to 1, got 0"),
        (
            "lstm_layers: {int: [1, 3]}",
            "shared.lstm_layers: must be less than or equal to 2, got 3",
        ),
        ("warmup: {float: [0, 1]}", "shared.warmup: must be less than 1, got 1"),
        ("pooling: {choice: [max, med]}", "shared.pooling: must be 'last', 'max', .*, got 'med'"),
        ("optimizer: {float: [0, 1]}", "shared.optimizer: must be 'adam', .*, got 0.0"),
    ],
)
def test_a_bad_parameter_is_refused_with_field_rule_and_value(parameter: str, message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^s\.yaml: .*{message}"):
        from_text(with_parameter(parameter))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be a mapping \(`key: value` lines\), got NoneType"),
        ("[1]", "must be a mapping .*, got list"),
        ("architectures: {lstm: }", "name: is missing; add it"),
        ("name: s", "architectures: is missing; add it"),
        ("nmae: s\narchitectures: {lstm: }", "nmae: unknown key; did you mean name?"),
        (
            "name: s\narchitecture: {lstm: }",
            "architecture: unknown key; did you mean architectures?",
        ),
        ("name: s\nxyzzy: 1\narchitectures: {lstm: }", "xyzzy: unknown key; remove it"),
        (
            "name: ../s\narchitectures: {lstm: }",
            "name: must be letters, digits, .*, and begin with a letter or a digit, got '../s'",
        ),
        ("name: [a]\narchitectures: {lstm: }", r"name: must be text, got \['a'\]$"),
        (
            f"name: {'x' * 61}\narchitectures: {{lstm: }}",
            "name: must have at most 60 characters, got",
        ),
        (
            "name: a\nmetric: val_f1\narchitectures: {lstm: }",
            "metric: must be a mapping, got 'val_f1'",
        ),
        ("name: ''\narchitectures: {lstm: }", "name: must be letters, digits, .*, got ''"),
        ("name: .hidden\narchitectures: {lstm: }", "name: must be letters, .*, got '.hidden'"),
        ("name: 7\narchitectures: {lstm: }", "name: must be text, got 7; put it in quotes"),
        (
            "name: s\nmax_epochs: 0\narchitectures: {lstm: }",
            "max_epochs: must be greater .*, got 0",
        ),
        ("name: s\narchitectures: {}", r"architectures: needs at least 1, got \{\}"),
        ("name: s\narchitectures: [lstm]", r"architectures: must be a mapping, got \['lstm'\]"),
        (
            "name: s\narchitectures: {lstn: }",
            "architectures.lstn: no such architecture; did you mean lstm?",
        ),
        (
            "name: s\narchitectures: {transformer: }",
            "architectures.transformer: no such architecture; write one of lstm, lstm_dropout,",
        ),
        (
            "name: s\narchitectures: {lstm: {filters: 8}}",
            "architectures.lstm.filters: lstm takes no filters; move it under the architectures that do",
        ),
        (
            "name: s\narchitectures: {'models.py:build me': }",
            "must be package.module:function, got 'models.py:build me'",
        ),
        (
            "name: s\narchitectures: {'a:b': {seed: 3}}",
            r"architectures.a:b.seed: the name is taken",
        ),
        (
            "name: s\narchitectures: {'a:b': {'my-depth': 3}}",
            "architectures.a:b.my-depth: must be a Python name",
        ),
        ("name: s\narchitectures: {'a:b': {lambda: 3}}", "a:b.lambda: must be a Python name"),
        (
            "name: s\nmetric: {name: val_loss, mode: max}\narchitectures: {lstm: }",
            "metric: mode of val_loss must be min, got max",
        ),
        (
            "name: s\nmetric: {mode: min}\narchitectures: {lstm: }",
            "metric: mode of val_accuracy must be max, got min",
        ),
        (
            "name: s\nmetric: {name: accuracy}\narchitectures: {lstm: }",
            "metric.name: must be 'val_accuracy', .*'val_balanced_accuracy' or 'val_loss', got 'acc",
        ),
    ],
)
def test_a_bad_space_is_refused_with_field_rule_and_value(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^s\.yaml: .*{message}"):
        from_text(text)


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (
            "{architecture: lstm, lstm_units: 72}",
            r"\.lstm_units: must lie inside the space \(8 … 64 \(step 8\)\), got 72; change it",
        ),
        ("{architecture: lstm, lstm_units: 17}", r"\.lstm_units: must lie inside .*, got 17"),
        ("{architecture: lstm, lstm_units: 8.0}", r"\.lstm_units: must lie inside .*, got 8.0"),
        ("{architecture: lstm, lstm_units: true}", r"\.lstm_units: must lie inside .*, got True"),
        (
            "{architecture: lstm, lstm_units: 8, batch_size: 64}",
            r"\.batch_size: must lie inside the space \(32\), got 64",
        ),
        (
            "{architecture: lstm, lstm_units: 8, filters: 8}",
            r"\.filters: lstm has no such parameter in this space; remove it, or add it to the space",
        ),
        ("{architecture: lstm}", ": lstm_units is missing; a baseline gives every parameter"),
        ("{architecture: cnn_lstm, lstm_units: 8}", ": filters is missing"),
        (
            "{lstm_units: 8}",
            r"\.architecture: must be one of this space's \(lstm, cnn_lstm\), got None",
        ),
        (
            "{architecture: bilstm, lstm_units: 8}",
            r"\.architecture: must be one of .*, got 'bilstm'",
        ),
        ("3", ": must be a mapping, got 3"),
    ],
)
def test_a_baseline_outside_the_space_is_refused(baseline: str, message: str) -> None:
    with pytest.raises(SpaceError, match=rf"^s\.yaml: baselines\[0\]{message}"):
        from_text(with_baseline(baseline))


def test_a_shared_parameter_that_one_architecture_does_not_take_is_refused() -> None:
    text = "name: s\nshared: {filters: 8}\narchitectures: {cnn_lstm: , lstm: }"
    with pytest.raises(SpaceError, match=r"shared.filters: lstm takes no filters; move it under"):
        from_text(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "my_models:build: {p: {choice: [null, 0.2]}}",
            r"got None; give such values names: .*null",
        ),
        ("my_models:build: {p: {choice: [[64], [64, 32]]}}", r"got \[64\]; give such values names"),
        ("my_models:build: {p: {choice: [0, 1, true]}}", "1 and True count as one value"),
        ("my_models:build: {p: {choice: [a, a]}}", "'a' is given twice; remove one"),
        ("my_models:build: {p: {choice: {}}}", "needs at least 1"),
        ("my_models:build: {learning_rate: {choice: {a: 1}}}", "values by names are for"),
        ("lstm: {lstm_units: {choice: {small: 8}}}", "values by names are for"),
    ],
)
def test_choices_that_cannot_be_are_refused_with_what_to_write(content: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_text(f"name: s\narchitectures:\n  {content}\n", "s.yaml")
