"""The settings of a search: flags, keywords and files, merged and checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples

from tuner.errors import ConfigError, SpaceError, UsageError
from tuner.run.folder import RunFolder
from tuner.run.run_file import check_same_search, write_run_file
from tuner.settings.builtin import find_space
from tuner.settings.config import PrunerName, SamplerName, SearchConfig, make_config
from tuner.settings.data import TokenMode
from tuner.settings.space import SearchSpace

WriteFile = Callable[[str], Path]


@pytest.fixture
def write_file(tmp_path: Path) -> WriteFile:
    def write(text: str) -> Path:
        path = tmp_path / "settings" / "mine.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


# -- settings -------------------------------------------------------------------------------------


def test_a_space_alone_is_searched_with_the_defaults() -> None:
    config = make_config({"space": "seed", "trials": None, "data": {"source": None}})
    assert config == SearchConfig(space=find_space("seed"))
    assert (config.run_name, config.trial_budget, config.epochs) == ("seed-imdb-train", 30, 9)
    assert config.folder == Path("runs/seed-imdb-train")


def test_flags_win_over_the_file_and_keep_its_rest(write_file: WriteFile) -> None:
    path = write_file(
        "space: seed\ntrials: 50\nseed: 7\nsampler: random\ndata: {source: imdb, tokens: characters}"
    )
    config = make_config({"trials": 5, "data": {"sample": 100}}, config_file=path)
    assert (config.trials, config.seed, config.sampler) == (5, 7, SamplerName.RANDOM)
    assert (config.data.source, config.data.tokens) == ("imdb", TokenMode.CHARACTERS)
    assert config.data.sample == 100


def test_a_time_budget_alone_leaves_the_trials_unlimited() -> None:
    config = make_config({"space": "seed", "time_budget": "30m"})
    assert (config.trial_budget, config.time_budget) == (None, 1800)


def test_the_space_may_be_a_mapping_or_a_space() -> None:
    space = find_space("seed")
    assert make_config({"space": space}).space == space
    assert make_config({"space": space.to_mapping()}).space == space


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("imdb-train", "seed-imdb-train"),
        ("data/my reviews.csv", "seed-my-reviews"),
        ("/data/a.b.parquet", "seed-a"),
        ("评论.csv", "seed-data"),
        ("reviews", "seed-reviews"),
        ("./reviews", "seed-reviews"),
        ("/data/reviews", "seed-reviews"),
        ("x" * 200 + ".csv", "seed-" + "x" * 95),
    ],
)
def test_a_runs_name_is_made_of_space_and_data(source: str, name: str) -> None:
    config = make_config({"space": "seed", "data": {"source": source}})
    assert config.run_name == name
    assert make_config({"space": "seed", "name": name}).run_name == name  # as run.yaml records it


def test_paths_in_a_file_are_relative_to_it(write_file: WriteFile) -> None:
    path = write_file("space: own.yaml\ndata: rows.csv")
    (path.parent / "own.yaml").write_text("name: own\narchitectures: {lstm: }", encoding="utf-8")
    (path.parent / "rows.csv").write_text("text,label\n", encoding="utf-8")
    config = make_config({}, config_file=path)
    assert config.space.name == "own"
    assert config.data.source == str(path.parent / "rows.csv")


def test_a_data_sets_name_wins_over_a_file_beside_the_settings(write_file: WriteFile) -> None:
    path = write_file("space: seed\ndata: {source: imdb, vectors: imdb}")
    (path.parent / "imdb").write_text("text,label\n", encoding="utf-8")
    data = make_config({}, config_file=path).data
    assert (data.source, data.vectors) == ("imdb", str(path.parent / "imdb"))


def test_a_data_path_that_is_not_beside_the_file_stays_as_it_is(write_file: WriteFile) -> None:
    path = write_file("space: seed\ndata: {source: rows.csv}")
    assert make_config({}, config_file=path).data.source == "rows.csv"


def test_a_file_with_an_empty_data_section_is_filled_by_flags(write_file: WriteFile) -> None:
    path = write_file("space: seed\ndata:\n")
    assert make_config({"data": {"source": "imdb"}}, config_file=path).data.source == "imdb"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "^a search needs a space; name a YAML file or a built-in, e.g. seed$"),
        ({"space": "seed", "trials": 0}, "^--trials: must be greater than or equal to 1, got 0$"),
        ({"space": "seed", "max_epochs": 0}, "^--max-epochs: must be greater .*, got 0$"),
        ({"space": "seed", "time_budget": "soon"}, "^--time-budget: must be a duration"),
        ({"space": "seed", "time_budget": "0s"}, "^--time-budget: must be above zero, got '0s'$"),
        ({"space": "seed", "name": "../x"}, "^--name: must be letters, digits, .*, got '../x'$"),
        ({"space": "seed", "name": "a/b"}, "^--name: must be letters, digits, .*, got 'a/b'$"),
        ({"space": "seed", "name": ".."}, "^--name: must be letters"),
        ({"space": "seed", "name": "a\n"}, r"^--name: must be letters, .*, got 'a\\n'$"),
        ({"space": "seed", "seed": -1}, "^--seed: must be greater .*, got -1$"),
        ({"space": "seed", "seed": 2**31}, "^--seed: must be less than 2147483648"),
        (
            {"space": "seed", "cpus_per_trial": 0.0},
            "^--cpus-per-trial: must be greater than or equal to 0.001",
        ),
        ({"space": "seed", "cpus_per_trial": float("inf")}, "^--cpus-per-trial: must be a finite"),
        ({"space": "seed", "gpus_per_trial": float("nan")}, "^--gpus-per-trial: must be a finite"),
        (
            {"space": "seed", "gpus_per_trial": "all"},
            "^--gpus-per-trial: must be a number or auto, got 'all'",
        ),
        (
            {"space": "seed", "gpus_per_trial": "-1"},
            "^--gpus-per-trial: must be 0, or 0.001 or more, got -1",
        ),
        (
            {"space": "seed", "sampler": "grid"},
            "^--sampler: must be 'mixed', 'tpe' or 'random', got 'grid'$",
        ),
        ({"space": "seed", "pruner": "x"}, "^--pruner: must be 'halving', 'hyperband' or 'none'"),
        ({"space": "seed", "data": {"tokens": "x"}}, "^--tokens: must be 'words', .*, got 'x'$"),
        (
            {"space": "seed", "data": {"encoding": "x"}},
            "^--encoding: must be the name of an encoding, got 'x'; write cp1252, say$",
        ),
        (
            {"space": "seed", "data": {"encoding": ""}},
            "^--encoding: must be the name of an encoding, got ''; write cp1252, say$",
        ),
        ({"space": "seed", "data": {"sample": 0}}, "^--sample: must be greater .*, got 0$"),
        (
            {"space": "seed", "data": {"source": 3}},
            "^--data: must be text, got 3; put it in quotes$",
        ),
    ],
)
def test_a_bad_flag_is_refused_by_its_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_config(settings, names="flags")


def test_a_bad_keyword_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^max_epochs: must be greater .*, got 0$"):
        make_config({"space": "seed", "max_epochs": 0})
    with pytest.raises(ConfigError, match=r"^tokens: must be 'words'"):
        make_config({"space": "seed", "data": {"tokens": "x"}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trails: 3", r"mine.yaml: trails: unknown key; did you mean trials\?$"),
        ("trials: 0", "mine.yaml: trials: must be greater than or equal to 1, got 0$"),
        ("data: {tokens: x}", "mine.yaml: data.tokens: must be 'words', .*, got 'x'$"),
        ("data: {sorce: x}", "mine.yaml: data.sorce: unknown key; remove it$"),
        ("data_seed: 3", r"mine.yaml: data_seed: unknown key; write data: \{seed: VALUE\}$"),
        ("sample: 5000", r"mine.yaml: sample: unknown key; write data: \{sample: VALUE\}$"),
        ("data.sample: 5", r"mine.yaml: data.sample: unknown key; write data: \{sample: VALUE\}$"),
        ("text-column: x", r"mine.yaml: text-column: unknown key; write data: \{text_column: V"),
        ("max-epochs: 3", "mine.yaml: max-epochs: unknown key; write max_epochs: VALUE$"),
        ("data: {data_seed: 3}", r"mine.yaml: data.data_seed: unknown key; write data: \{seed: V"),
        (
            "data: {trials: 3}",
            "data.trials: unknown key in data; remove it, or write trials: VALUE outside of data$",
        ),
        ("data: {name: imdb}", "data.name: unknown key in data; remove it, or write name: VALUE "),
        ("learn_from: x", r"learn_from: unknown key; write starters: \{learn_from: VALUE\}$"),
        ("data: [x]", r"mine.yaml: data: must be a name, a path or a mapping, got \['x'\]$"),
        ("time_budget: [1]", r"mine.yaml: time_budget: must be a duration .*, got \[1\]$"),
        ("cpus_per_trial: .inf", "mine.yaml: cpus_per_trial: must be a finite number, got inf$"),
        ("trials: 1\ntrials: 2", "mine.yaml: line 3: 'trials' is given twice; remove one$"),
    ],
)
def test_a_bad_setting_in_a_file_is_refused_with_the_file(
    write_file: WriteFile, text: str, message: str
) -> None:
    path = write_file(f"space: seed\n{text}\n")
    # As the command line passes them on: flags that are not given are None.
    flags = {"trials": None, "data": {"source": None, "tokens": None, "sample": None}}
    with pytest.raises(ConfigError, match=message):
        make_config(flags, config_file=path, names="flags")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {name: s}", "mine.yaml: space: architectures: is missing; add it$"),
        ("space: 3", "mine.yaml: space: must be .*, got 3$"),
        ("space: sed", r"^'sed' is neither a file nor a built-in space; did you mean seed\?$"),
    ],
)
def test_a_bad_space_in_a_file_is_refused(write_file: WriteFile, text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        make_config({}, config_file=write_file(text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read: No such file or directory$"):
        make_config({"space": "seed"}, config_file=tmp_path / "no.yaml")


@pytest.mark.parametrize("name", ["~nobody-here/x", "a" * 300, "a\0b", "x/" * 3000])
def test_a_path_that_cannot_exist_is_an_ordinary_refusal(write_file: WriteFile, name: str) -> None:
    path = write_file(yaml.safe_dump({"space": name, "data": name, "out": name}))
    with pytest.raises(SpaceError, match="is neither a file nor a built-in space"):
        make_config({}, config_file=path)
    assert make_config({"space": "seed"}, config_file=path).folder.name


# -- arbitrary content ----------------------------------------------------------------------------

_WILD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["source", "tokens", "sample", "name", "architectures", "lstm"])
            | st.text(max_size=4),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
_SETTINGS = st.dictionaries(
    st.sampled_from(sorted(SearchConfig.model_fields)) | st.text(max_size=4), _WILD, max_size=6
)


@settings(max_examples=examples(80), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_SETTINGS, has_space=st.booleans())
def test_any_file_makes_a_search_or_is_refused_in_one_line(
    write_file: WriteFile, content: dict[str, object], has_space: bool
) -> None:
    if has_space:
        content["space"] = "seed"
    path = write_file(yaml.safe_dump(content))
    message = ""
    try:
        make_config({"data": {"source": None}}, config_file=path, names="flags")
    except UsageError as error:
        message = str(error)
    assert message.isprintable()


# -- run.yaml -------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.fixed_dictionaries(
        {"space": st.sampled_from(["seed", "imdb", "quickstart"])},
        optional={
            "trials": st.integers(1, 10**6),
            "time_budget": st.floats(0.1, 10**6) | st.integers(1, 10**6),
            "gpus_per_trial": st.sampled_from([0.0, 0.25, 1 / 3, 1.0, "auto"]),
            "cpus_per_trial": st.sampled_from([0.5, 1, 2.5]),
            "max_epochs": st.integers(1, 100),
            "max_concurrent": st.integers(1, 100),
            "seed": st.integers(0, 2**31 - 1),
            "sampler": st.sampled_from(["tpe", "random"]),
            "pruner": st.sampled_from(["halving", "hyperband", "none"]),
            "address": st.just("ray://head:10001"),
            "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True),
            "out": st.sampled_from(["runs", "/data/my runs", "~/runs"]),
            "data": st.fixed_dictionaries(
                {"source": st.sampled_from(["imdb", "评论.csv", "/data/x y.tsv"])},
                optional={
                    "text_column": st.text(min_size=1, max_size=5),
                    "label_column": st.text(min_size=1, max_size=5),
                    "tokens": st.sampled_from(["words", "characters", "symbols"]),
                    "sample": st.integers(1, 10**6),
                },
            ),
        },
    )
)
def test_run_yaml_asks_for_the_same_search_again(tmp_path: Path, asked: dict[str, Any]) -> None:
    config = make_config(asked)
    folder = RunFolder(tmp_path)
    write_run_file(folder, config, "fingerprint")
    again = make_config({"data": {"source": None}}, config_file=folder.run_file)
    resolved = {"name": config.run_name, "out": str(tmp_path.parent)}
    assert again == config.model_copy(update=resolved)
    check_same_search(folder, again, "fingerprint")


def test_run_yaml_finds_its_data_and_its_folder_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("text,label\n", encoding="utf-8")
    config = make_config({"space": "seed", "data": {"source": "rows.csv"}})
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "fingerprint")
    monkeypatch.chdir("/")
    again = make_config({}, config_file=tmp_path / "runs" / "seed-rows" / "run.yaml")
    assert again.folder == tmp_path / "runs" / "seed-rows"
    assert again.data.source == str(tmp_path / "rows.csv")


def test_a_requested_budget_replaces_the_recorded_ones(tmp_path: Path) -> None:
    used = make_config({"space": "seed", "trials": 60, "time_budget": "30m"})
    folder = RunFolder(tmp_path)
    write_run_file(folder, used, "fingerprint")
    by_time = make_config({"time_budget": "2h"}, config_file=folder.run_file)
    by_trials = make_config({"trials": 90}, config_file=folder.run_file)
    neither = make_config({"seed": 0}, config_file=folder.run_file)
    assert (by_time.trials, by_time.time_budget) == (None, 7200)
    assert (by_trials.trials, by_trials.time_budget) == (90, None)
    assert (neither.trials, neither.time_budget) == (60, 1800)


def test_run_yaml_keeps_the_order_of_a_space(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "fingerprint")
    again = make_config({}, config_file=folder.run_file).space
    assert list(again.architectures) == list(space.architectures)
    assert again.parameter_names == space.parameter_names


# -- two objectives -------------------------------------------------------------------------------


def test_two_objectives_come_back_from_the_run_file_and_nothing_is_pruned(tmp_path: Path) -> None:
    settings = {"space": "seed", "out": str(tmp_path), "objectives": "val_accuracy,weights"}
    config = make_config(settings)
    assert config.objectives == ("val_accuracy", "weights")
    assert config.pruner is PrunerName.NONE
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    again = make_config({}, config_file=folder.run_file)
    assert (again.objectives, again.pruner) == (config.objectives, config.pruner)
    assert again.compared_by == config.compared_by
    assert make_config({**settings, "pruner": "none"}) == config


def test_a_cluster_that_a_run_has_recorded_can_be_taken_back(tmp_path: Path) -> None:
    recorded = tmp_path / "run.yaml"
    recorded.write_text("space: seed\naddress: auto\nstorage_path: /shared\n")
    config = make_config({"address": "off", "storage_path": "off"}, config_file=recorded)
    assert (config.address, config.storage_path) == (None, None)


def test_one_objective_is_pruned_by_halving_where_there_is_no_patience() -> None:
    config = make_config({"space": "seed", "patience": "off"})
    assert (config.objectives, config.compared_by.costs) == (None, ())
    assert config.pruner is PrunerName.HALVING
    assert make_config({"space": "seed"}).pruner is PrunerName.NONE


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_a_pruner_is_refused_with_two_objectives(write_file: WriteFile, pruner: str) -> None:
    asked = {"space": "seed", "objectives": ("val_accuracy", "weights")}
    with pytest.raises(ConfigError, match=f"^--pruner: must be none with two .*'{pruner}'; write"):
        make_config({**asked, "pruner": pruner}, names="flags")
    path = write_file(f"space: seed\npruner: {pruner}")
    with pytest.raises(ConfigError, match=r"mine\.yaml: pruner: must be none with two"):
        make_config({"objectives": "val_accuracy,weights"}, config_file=path, names="flags")


def test_a_metric_that_is_not_the_spaces_is_refused_with_advice() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^objectives: the space is scored by val_accuracy, got val_f1; write val_accuracy,weights, or a space",
    ):
        make_config({"space": "seed", "objectives": "val_f1,weights"})


@pytest.mark.parametrize("name", ["out", "storage_path", "mlflow"])
@pytest.mark.parametrize(
    "url",
    ["sftp://anna:s3cr3t@host/x", "https://host/x?token=s3cr3t", "postgresql://u:s3cr3t@db/x"],
)
def test_a_url_with_a_secret_is_refused_and_not_shown(name: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: must hold no password or token") as refused:
        make_config({"space": "seed", name: url})
    assert "s3cr3t" not in str(refused.value)


def test_a_server_with_a_secret_and_without_a_scheme_is_not_shown_either() -> None:
    with pytest.raises(ConfigError, match="mlflow: must hold no password") as refused:
        make_config({"space": "seed", "mlflow": "anna:s3cr3t@host:5000"})
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "place", ["localhost:5000", "10.0.0.1:5000/", "[::1]:5000", "mlflow.example.org:80/a"]
)
def test_a_server_without_its_scheme_is_no_folder(place: str) -> None:
    with pytest.raises(ConfigError, match=r"^mlflow: must begin with http://") as refused:
        make_config({"space": "seed", "mlflow": place})
    assert f"write http://{place}, or ./{place} for a folder" in str(refused.value)
    assert make_config({"space": "seed", "mlflow": f"./{place}"}).mlflow == f"./{place}"


def test_a_file_of_settings_in_place_of_a_space_is_refused_and_the_reverse(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("space: seed\ntrials: 5\n")
    (tmp_path / "s.yaml").write_text("name: s\narchitectures: {lstm: }\n")
    with pytest.raises(
        SpaceError, match=r"c\.yaml: these are settings.*; write --config .*c\.yaml$"
    ):
        find_space(str(tmp_path / "c.yaml"))
    with pytest.raises(
        ConfigError, match=r"s\.yaml: this is a space.* write tuner search .*s\.yaml"
    ):
        make_config({}, config_file=tmp_path / "s.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": True}, "^trials: must be a number, got True"),
        ({"max_epochs": False}, "^max_epochs: must be a number, got False"),
        ({"data": {"sample": True}}, "^sample: must be a number, got True"),
        ({"gpus_per_trial": True}, "^gpus_per_trial: must be a number or auto, got True"),
        ({"time_budget": True}, "^time_budget: must be a duration"),
        ({"tensorboard": "maybe"}, "^tensorboard: must be true or false, got 'maybe'"),
        (
            {"space": {"name": "s", "architectures": {"lstm": {"lstm_units": {"int": [True, 9]}}}}},
            r"^space: architectures\.lstm\.lstm_units.*: must be a number, got \[True, 9\]",
        ),
    ],
)
def test_true_and_false_are_no_numbers(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_config({"space": "seed", **settings})
    assert make_config({"space": "seed", "tensorboard": True, "trials": 1}).tensorboard


def test_columns_of_a_file_are_not_those_of_a_named_data_set(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "space: seed\ndata: {source: a.csv, text_column: review, encoding: cp1252, sample: 50}\n"
    )
    named = make_config({"data": {"source": "imdb-train"}}, config_file=tmp_path / "c.yaml").data
    assert (named.text_column, named.encoding, named.sample) == (None, None, 50)
    other = make_config({"data": {"source": "b.csv"}}, config_file=tmp_path / "c.yaml").data
    assert (other.source, other.text_column) == ("b.csv", "review")


def test_off_takes_back_what_a_file_of_settings_has(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "space: seed\nmlflow: http://localhost:5000\nepoch_timeout: 5m\n"
    )
    recorded = make_config({}, config_file=tmp_path / "run.yaml")
    assert (recorded.mlflow, recorded.epoch_timeout) == ("http://localhost:5000", 300)
    off = make_config({"mlflow": "off", "epoch_timeout": "off"}, config_file=tmp_path / "run.yaml")
    assert (off.mlflow, off.epoch_timeout) == (None, None)


@pytest.mark.parametrize("given", [0, -1, "never", 1.5, True])
def test_a_patience_that_is_no_number_of_epochs_is_refused(given: object) -> None:
    with pytest.raises(
        ConfigError, match=r"^patience: must be off or a whole number of 1 or more, got"
    ):
        make_config({"space": "seed", "patience": given})
