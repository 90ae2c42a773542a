"""`run.yaml`: the settings, versions and fingerprint that a search records, and the searches that it refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.run_files import files_below

from tuner.errors import RunFolderError
from tuner.run.fingerprint import Fingerprint
from tuner.run.folder import RunFolder
from tuner.run.run_file import (
    RunFile,
    check_same_search,
    read_run_file,
    with_recorded_splits,
    write_run_file,
)
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.data import DataConfig, SplitRule
from tuner.settings.space import SearchSpace


def changed(space: SearchSpace, **changes: Any) -> SearchSpace:
    return SearchSpace.from_mapping({**space.to_mapping(), **changes}, "changed")


def test_the_same_search_with_another_budget_continues(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    check_same_search(folder, SearchConfig(space=space), "data")  # nothing there yet
    write_run_file(folder, SearchConfig(space=space, trials=5), "data")
    check_same_search(folder, SearchConfig(space=space, trials=50, gpus_per_trial=0.5), "data")
    reworded = changed(space, description="in other words")
    check_same_search(folder, SearchConfig(space=reworded), "data")


@pytest.mark.parametrize(
    ("asked", "data", "message"),
    [
        (
            {},
            "other",
            "other data, another sample of them or another --data-seed; choose another --name",
        ),
        ({"seed": 1}, "data", "seed 0, not 1; choose"),
        ({"max_epochs": 3}, "data", "max_epochs 9, not 3; choose"),
        ({"trainer": "toy"}, "data", "trainer keras, not toy; choose"),
        ({"patience": "off"}, "data", "patience 1, not off; choose"),
        ({"rotate_validation": True}, "data", "no --rotate-validation; choose"),
    ],
)
def test_another_search_under_the_same_name_is_refused_and_touches_nothing(
    tmp_path: Path, space: SearchSpace, asked: dict[str, Any], data: str, message: str
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "data")
    before = files_below(tmp_path)
    with pytest.raises(RunFolderError, match=f"belongs to a search with {message}") as refused:
        check_same_search(folder, SearchConfig(space=space, **asked), data)
    assert str(refused.value).isprintable()
    assert files_below(tmp_path) == before


def test_a_space_that_holds_all_of_the_recorded_one_continues_and_another_is_refused(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "data")
    content = space.to_mapping()
    reordered = changed(space, architectures=dict(reversed(content["architectures"].items())))
    wider = changed(space, shared={**content["shared"], "lstm_units": {"int": [8, 65]}})
    for other in (reordered, wider):
        check_same_search(folder, SearchConfig(space=other), "data")
    narrower = changed(space, shared={**content["shared"], "lstm_units": {"int": [8, 63]}})
    with pytest.raises(
        RunFolderError,
        match="belongs to a search with another space, this one has lstm_units of lstm 8 … 63, which does not hold all "
        "of 8 … 64; choose another --name, or ask for the same space or a wider one",
    ):
        check_same_search(folder, SearchConfig(space=narrower), "data")


@pytest.mark.parametrize(
    ("asked", "data", "message"),
    [
        ({}, "other", "other data"),
        ({"seed": 1}, "data", "seed 0, not 1"),
        ({"objectives": ("val_accuracy", "weights")}, "data", "objectives val_accuracy, not val_a"),
    ],
)
def test_a_run_from_before_a_part_was_recorded_continues_and_is_compared_by_the_others(
    tmp_path: Path, space: SearchSpace, asked: dict[str, Any], data: str, message: str
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "data")
    text = folder.run_file.read_text(encoding="utf-8")
    folder.run_file.write_text(re.sub(r"\n +trainer: .*", "", text), encoding="utf-8")
    assert read_run_file(folder).fingerprint == Fingerprint.of(
        SearchConfig(space=space), "data"
    ).model_copy(update={"trainer": None})
    check_same_search(folder, SearchConfig(space=space), "data")
    with pytest.raises(RunFolderError, match=f"belongs to a search with {message}"):
        check_same_search(folder, make_config({"space": space, **asked}), data)


def test_a_run_from_before_patience_goes_on_without_where_its_file_asks(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space, patience=2), "data")
    assert read_run_file(folder).config.patience == 2
    text = folder.run_file.read_text(encoding="utf-8")
    folder.run_file.write_text(re.sub(r"\n *patience: .*", "", text), encoding="utf-8")
    assert read_run_file(folder).config.patience == 0
    check_same_search(folder, SearchConfig(space=space, patience=3), "data")
    write_run_file(folder, read_run_file(folder).config, "data")
    assert read_run_file(folder).config.patience == 0


@pytest.mark.parametrize("text", ["0918", "08", "009", "0o17", "12345678901234e5"])
def test_a_text_that_earlier_versions_wrote_without_quotes_is_text(
    tmp_path: Path, space: SearchSpace, text: str
) -> None:
    folder = RunFolder(tmp_path)
    data = DataConfig(text_column=text, label_column="+.5")
    write_run_file(folder, SearchConfig(space=space, name=text, data=data), text)
    content = yaml.safe_load(folder.run_file.read_text(encoding="utf-8"))
    content["fingerprint"]["space"] = ".5e5"
    written = yaml.safe_dump(content)  # as YAML 1.1
    assert f"\nname: {text}\n" in written
    folder.run_file.write_text(written, encoding="utf-8")
    read = read_run_file(folder)
    assert read.fingerprint is not None
    assert (read.fingerprint.data, read.fingerprint.space) == (text, ".5e5")
    assert (read.config.name, read.config.data) == (text, data)


def test_a_run_file_without_a_fingerprint_is_refused(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("space: seed", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"run.yaml: no fingerprint in it; choose another"):
        check_same_search(folder, SearchConfig(space=space), "data")


def test_the_run_file_keeps_its_date_and_records_versions(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "data")
    text = folder.run_file.read_text(encoding="utf-8")
    created = re.sub(r"created: .*", "created: '2020-01-01T00:00:00+00:00'", text)
    folder.run_file.write_text(created, encoding="utf-8")
    write_run_file(folder, SearchConfig(space=space, trials=99), "data")
    record = yaml.safe_load(folder.run_file.read_text(encoding="utf-8"))
    assert (record["created"], record["trials"]) == ("2020-01-01T00:00:00+00:00", 99)
    assert {"python", "optuna", "pandas"} <= set(record["versions"])
    assert set(record["fingerprint"]) == {
        *("space", "data", "max_epochs", "patience", "seed", "trainer")
    }


def test_other_objectives_are_refused_and_a_run_file_from_before_there_were_two_is_not(
    tmp_path: Path, space: SearchSpace
) -> None:
    asked = {"space": space, "out": str(tmp_path), "name": "x"}
    one = make_config(asked)
    two, other = (
        make_config({**asked, "objectives": ("val_accuracy", cost)})
        for cost in ("weights", "seconds_per_epoch")
    )
    folder = RunFolder(one.folder)
    write_run_file(folder, one, "data")
    assert "objectives:" not in folder.run_file.read_text(encoding="utf-8")
    check_same_search(folder, one, "data")
    with pytest.raises(
        RunFolderError, match="with objectives val_accuracy, not val_accuracy,weights"
    ):
        check_same_search(folder, two, "data")
    write_run_file(folder, two, "data")
    check_same_search(folder, two, "data")
    for different in (one, other):
        with pytest.raises(RunFolderError, match="with objectives val_accuracy,weights, not val_a"):
            check_same_search(folder, different, "data")


def test_written_content_reads_back_the_same(tmp_path: Path, space: SearchSpace) -> None:
    config = make_config({"space": space, "out": str(tmp_path), "name": "x", "trials": 5})
    folder = RunFolder(config.folder)
    write_run_file(folder, config, "data")
    read = read_run_file(folder)
    assert read.config == config
    assert read.data == config.data
    assert read.fingerprint is not None
    assert read.fingerprint.data == "data"
    assert read.versions["python"]
    assert read.text == folder.run_file.read_text(encoding="utf-8")


def test_a_source_alone_may_stand_for_the_data_settings(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("space: seed\ndata: imdb", encoding="utf-8")
    read = read_run_file(folder)
    assert read.data == read.config.data == DataConfig(source="imdb")


def _run_of_an_earlier_version(folder: RunFolder, seed: int) -> None:
    """A `run.yaml` from before `--data-seed`, when a search's seed drew its splits."""
    folder.run_file.write_text(
        f"space: seed\ndata: {{source: rotten-tomatoes, sample: 90}}\nseed: {seed}\nfingerprint: {{seed: {seed}}}"
    )


def test_a_run_from_before_the_data_seed_keeps_its_splits(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    _run_of_an_earlier_version(folder, seed=3)
    splits = {"seed": 3, "split_rule": SplitRule.SAMPLED_FIRST}
    read = read_run_file(folder)
    assert read.data == read.config.data
    assert splits.items() <= read.config.data.model_dump().items()

    asked = {"space": "seed", "data": {"source": "rotten-tomatoes", "sample": 90}, "seed": 3}
    config = make_config(asked)
    assert (config.data.seed, config.data.split_rule) == (0, SplitRule.GROUPS_IN_PROPORTION)
    continued = with_recorded_splits(folder, config)  # the same command again
    assert splits.items() <= continued.data.model_dump().items()
    write_run_file(folder, continued, "data")
    assert splits.items() <= read_run_file(folder).config.data.model_dump().items()


def test_a_run_of_an_earlier_rule_keeps_it_but_no_seed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    earlier = {"seed": 5, "split_rule": SplitRule.SPLIT_FIRST, "group_column": "film"}
    write_run_file(folder, make_config({"space": "seed", "data": earlier}), "data")
    asked = make_config({"space": "seed", "data": {"group_column": "film"}})
    continued = with_recorded_splits(folder, asked)
    assert continued.data.split_rule is SplitRule.SPLIT_FIRST
    assert continued.data.seed == 0  # as typed, so that its other splits are refused
    assert read_run_file(folder).config.data.split_rule is SplitRule.SPLIT_FIRST


def test_no_other_run_gets_recorded_splits(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    config = make_config({"space": "seed", "data": {"seed": 5}})
    assert with_recorded_splits(folder, config) == config  # a new run
    _run_of_an_earlier_version(folder, seed=3)
    assert with_recorded_splits(folder, config) == config  # whose data seed is refused
    write_run_file(RunFolder(tmp_path / "new"), make_config({"space": "seed"}), "data")
    assert with_recorded_splits(RunFolder(tmp_path / "new"), config) == config


def test_a_file_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("space: seed\nseed: 7", encoding="utf-8-sig")
    read = read_run_file(folder)
    assert read.config.seed == 7
    assert read.text == "space: seed\nseed: 7"


def test_a_run_file_that_does_not_exist_records_nothing(tmp_path: Path) -> None:
    nothing = RunFile(tmp_path / "run.yaml")
    assert (nothing.text, nothing.data, nothing.fingerprint, nothing.versions) == (
        "",
        None,
        None,
        {},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("versions: 5", "versions: must be a mapping, got 5"),
        ("created: [1]", "created: must be text"),
        ("fingerprint: {seed: x}", "fingerprint.seed: must be a whole number, got 'x'"),
        ("fingerprint: {sed: 1}", "fingerprint.sed: unknown key"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text(content, encoding="utf-8")
    with pytest.raises(RunFolderError, match=f"^{re.escape(f'{folder.run_file}: {message}')}"):
        read_run_file(folder)


def test_damaged_data_settings_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.run_file.write_text("data: {source: reviews.csv, sample: many}", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"run.yaml: data: sample: must be a whole number"):
        read_run_file(folder).data  # noqa: B018 - read when it is asked for


def test_data_that_changed_since_is_refused(tmp_path: Path, space: SearchSpace) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space), "data")
    read_run_file(folder).check_same_data("reviews.csv", "data")
    with pytest.raises(
        RunFolderError, match=r"^reviews.csv: differs from the data that .* learned from"
    ):
        read_run_file(folder).check_same_data("reviews.csv", "other")


def test_a_run_of_an_earlier_version_with_several_gpus_per_trial_can_be_read(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space, gpus_per_trial=1.0), "data")
    text = folder.run_file.read_text(encoding="utf-8")
    folder.run_file.write_text(text.replace("gpus_per_trial: 1.0", "gpus_per_trial: 4.0"))
    assert read_run_file(folder).config.gpus_per_trial == 1


OWN = "my_models:build"


def test_changed_code_of_an_own_architecture_is_refused_until_it_is_accepted(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    space = SearchSpace.from_mapping({"name": "own", "architectures": {OWN: {}}}, "own.yaml")
    config = SearchConfig(space=space)
    write_run_file(folder, config, "data", {OWN: "a"})
    check_same_search(folder, config, "data", {OWN: "a"})
    check_same_search(folder, config, "data", {})  # not found here: a trial will say so
    with pytest.raises(RunFolderError, match=r"code of my_models:build .* --accept-changed-code"):
        check_same_search(folder, config, "data", {OWN: "b"})
    accepting = config.model_copy(update={"accept_changed_code": True})
    check_same_search(folder, accepting, "data", {OWN: "b"})
    write_run_file(folder, accepting, "data", {OWN: "b"})
    check_same_search(folder, config, "data", {OWN: "b"})
    with pytest.raises(
        RunFolderError, match="--accept-changed-code"
    ):  # accepted once, not for ever
        check_same_search(folder, read_run_file(folder).config, "data", {OWN: "c"})


def test_a_run_that_recorded_no_code_continues_with_any(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    space = SearchSpace.from_mapping({"name": "own", "architectures": {OWN: {}}}, "own.yaml")
    write_run_file(folder, SearchConfig(space=space), "data")
    check_same_search(folder, SearchConfig(space=space), "data", {OWN: "b"})


def test_a_password_that_an_earlier_version_recorded_is_neither_read_nor_shown(
    tmp_path: Path, space: SearchSpace
) -> None:
    folder = RunFolder(tmp_path)
    write_run_file(folder, SearchConfig(space=space, storage_path="sftp://anna@host/x"), "data")
    text = folder.run_file.read_text().replace("anna@", "anna:s3cr3t@")
    folder.run_file.write_text(text)
    recorded = read_run_file(folder)
    assert recorded.config.storage_path == "sftp://anna@host/x"
    assert "s3cr3t" not in recorded.text
    write_run_file(folder, recorded.config, "data")
    assert "s3cr3t" not in folder.run_file.read_text()
