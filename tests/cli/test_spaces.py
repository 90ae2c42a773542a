"""`tuner spaces`."""

from pathlib import Path

import pytest
from support.commands import Call

from tuner.settings.builtin import builtin_space_names

SPACES = Path(__file__).parents[2] / "search_spaces"


def test_spaces_lists_the_built_in_ones(call: Call) -> None:
    ended = call("spaces")
    assert (ended.code, ended.err) == (0, "")
    rows = ended.out.partition("\n\n")[0].splitlines()[1:]
    assert [row.split()[0] for row in rows] == builtin_space_names()


def test_spaces_shows_one_with_its_ranges(call: Call) -> None:
    out = call("spaces", "seed").out
    assert "metric val_accuracy (max), at most 9 epochs per trial, 4 baselines" in out
    assert "0.0002 … 0.01 (log)" in out
    assert "32 | 64 | 128" in out
    assert "nothing of its own" in out


def test_spaces_shows_what_recurrent_dropout_costs_on_a_gpu(call: Call) -> None:
    cost = "25 times as long (lstm_recurrent_dropout)."
    assert call("spaces", "quickstart").out.rstrip().endswith(cost)
    assert "cuDNN" not in call("spaces", "imdb").out


def test_spaces_prints_yaml_to_start_ones_own_from(call: Call, folder: Path) -> None:
    own = call("spaces", "seed", "--yaml").out
    (folder / "own.yaml").write_text(own, encoding="utf-8")
    assert own == (SPACES / "seed.yaml").read_text(encoding="utf-8")
    assert call("spaces", "own.yaml").out == call("spaces", "seed").out


def test_spaces_lists_every_parameter_and_architecture(call: Call) -> None:
    from tuner.settings.hyperparameters import ARCHITECTURES, MODEL_PARAMETERS

    first_words = {
        line.split()[0] for line in call("spaces", "--parameters").out.splitlines() if line
    }
    assert first_words >= MODEL_PARAMETERS | set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed", "--parameters"], "--parameters: lists those of any space, without NAME|PATH"),
        (["--yaml", "--parameters"], "--parameters: lists those of any space, without --yaml"),
        (["--yaml"], "--yaml: prints one space, which is not given; write its name"),
    ],
)
def test_spaces_refuses_options_that_would_do_nothing(
    call: Call, arguments: list[str], message: str
) -> None:
    assert call("spaces", *arguments).refusal.startswith(message)


def test_spaces_refuses_a_bad_file_with_field_and_rule(call: Call, folder: Path) -> None:
    text = "name: s\nshared: {lstm_units: {int: [256, 32]}}\narchitectures: {lstm: }"
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    refusal = call("spaces", "s.yaml").refusal
    assert refusal == "s.yaml: shared.lstm_units: low must be below high, got 256 and 32; swap them"


def test_brackets_and_control_characters_in_a_space_are_only_text(call: Call, folder: Path) -> None:
    text = (
        'name: s\ndescription: "[red]x[/] :smile: \\e[2J"\narchitectures: {lstm: {pooling: last}}'
    )
    (folder / "s.yaml").write_text(text, encoding="utf-8")
    ended = call("spaces", "s.yaml")
    assert ended.out.startswith("s: [red]x[/] :smile: �[2J\n")


def test_a_file_with_the_table_in_place_of_the_space_is_told_how_to_get_the_space(
    call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(call("spaces", "seed").out)
    ended = call("spaces", str(file))
    assert ended.code == 2
    assert ended.err.endswith(
        "this is a space as `tuner spaces NAME` shows it; `tuner spaces NAME --yaml` prints it to edit\n"
    )
    file.write_text(call("spaces", "seed", "--yaml").out)
    assert call("spaces", str(file)).code == 0
