"""What a search learns from earlier runs: the configurations that it tries first."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.searches import make
from support.studies import metrics, open_study

from tuner.errors import ConfigError
from tuner.execution.search import run_search
from tuner.execution.submission import pack_submission
from tuner.run import Run
from tuner.run.copies import with_record
from tuner.run.folder import RunFolder
from tuner.run.run_file import write_run_file
from tuner.run.trial_status import TrialStatus
from tuner.search.starters import (
    MOST,
    MOST_OF_A_RUN,
    Outside,
    configuration_in,
    in_narrower_space,
    with_starters,
)
from tuner.settings.config import SearchConfig, make_config
from tuner.settings.embeddings import starting_from_vectors
from tuner.settings.space import SearchSpace
from tuner.settings.starters import Starter

GOOD = {"learning_rate": 2e-3, "lstm_units": 40}
Trials = list[tuple[str, dict[str, Any], float]]


def write_run(
    folder: Path,
    space: SearchSpace,
    trials: Trials,
    status: TrialStatus = TrialStatus.COMPLETE,
    **settings: Any,
) -> Path:
    """A run whose baseline scores 0.5, followed by these configurations and their scores."""
    config = make_config(
        {"space": space, "out": str(folder.parent), "name": folder.name, **settings}
    )
    write_run_file(RunFolder(folder), config, "data")
    study = open_study(folder / "study.journal", space)
    for architecture, parameters, score in [("lstm", {}, 0.5), *trials]:
        if parameters:
            study.study.enqueue_trial({"architecture": architecture, **parameters})
        trial = study.ask()
        space.suggest(trial)
        study.report(trial, 1, metrics(score))
        study.finish(trial, status)
    return folder


def learned(
    config: dict[str, Any], *places: Path, space: SearchSpace, folder: Path
) -> tuple[Starter, ...]:
    asked = make_config(
        {"space": space, "starters": {"learn_from": [str(each) for each in places]}, **config}
    )
    found = with_starters(RunFolder(folder), asked).starters
    assert found is not None
    return found.found


def test_the_best_of_each_architecture_are_learned_from(space: SearchSpace, tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "a",
        space,
        [
            ("lstm", {"learning_rate": 1e-3, "lstm_units": 20}, 0.7),
            ("cnn_lstm", {**GOOD, "filters": 16}, 0.8),
            ("lstm", GOOD, 0.9),
        ],
    )
    assert learned({}, run, space=space, folder=tmp_path / "new") == (
        Starter(trial="a:3", configuration={"architecture": "lstm", **GOOD}),
        Starter(trial="a:2", configuration={"architecture": "cnn_lstm", **GOOD, "filters": 16}),
    )


def test_few_are_learned_from_many_runs_and_none_twice(space: SearchSpace, tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / f"run-{number}",
            space,
            [
                ("lstm", {**GOOD, "lstm_units": 10 + max(1, number)}, 0.9),
                ("cnn_lstm", {**GOOD, "filters": 10 + number}, 0.8),
            ],
        )
        for number in range(5)
    ]
    found = learned({}, *runs, space=space, folder=tmp_path / "new")
    # In turn, the best of each run first; the first two runs agree about it.
    assert [each.trial for each in found] == [
        *("run-0:1", "run-2:1", "run-3:1", "run-4:1", "run-0:2", "run-1:2")
    ]
    assert len(found) == MOST
    assert MOST_OF_A_RUN * len(runs) > MOST


def test_the_best_configuration_stays_where_a_later_run_has_it_too(
    space: SearchSpace, tmp_path: Path
) -> None:
    runs = [
        write_run(
            tmp_path / f"run-{number}",
            space,
            [
                ("lstm", {**GOOD, "lstm_units": 10 + number % 4}, 0.6 if number == 4 else 0.9),
                ("cnn_lstm", {**GOOD, "filters": 10 + number}, 0.8),
            ],
        )
        for number in range(5)
    ]
    found = learned({}, *runs, space=space, folder=tmp_path / "new")
    assert [each.trial for each in found] == [
        *("run-0:1", "run-1:1", "run-2:1", "run-3:1", "run-4:2", "run-0:2")
    ]


def test_a_value_outside_of_the_space_leaves_a_configuration_out(space: SearchSpace) -> None:
    assert configuration_in(space, "lstm", GOOD) == {"architecture": "lstm", **GOOD}
    with pytest.raises(Outside, match="lstm_units 65 is outside of 8 … 64"):
        configuration_in(space, "lstm", {**GOOD, "lstm_units": 65})
    with pytest.raises(Outside, match="architecture bilstm is outside"):
        configuration_in(space, "bilstm", GOOD)


def test_a_parameter_that_the_earlier_space_did_not_have_is_at_its_default() -> None:
    wider = SearchSpace.from_mapping(
        {
            "name": "wider",
            "shared": {
                "ngrams": {"choice": [0, 2]},
                "optimizer": {"choice": ["adam", "sgd"]},
                "batch_size": 32,  # the space's own
            },
            "architectures": {"lstm": {}},
        },
        "wider",
    )
    found = configuration_in(wider, "lstm", {**GOOD, "batch_size": 128})
    assert found == {"architecture": "lstm", "ngrams": 0, "optimizer": "adam"}
    assert type(found["optimizer"]) is str


def test_a_run_without_anything_to_learn_is_refused_in_one_line(
    space: SearchSpace, tmp_path: Path
) -> None:
    def refused(*places: Path, by: SearchSpace = space) -> str:
        with pytest.raises(ConfigError, match=r"^learn_from: ") as raised:
            learned({}, *places, space=by, folder=tmp_path / "new")
        assert "\n" not in str(raised.value)
        return str(raised.value)

    good = write_run(tmp_path / "good", space, [("lstm", GOOD, 0.9)])
    assert f"did you mean {good}?" in refused(tmp_path / "god")
    broken = write_run(tmp_path / "broken", space, [], TrialStatus.DIVERGED)
    assert "no trial of this run has ended in order" in refused(good, broken)
    toy = write_run(tmp_path / "toy", space, [], trainer="toy")
    assert "was a rehearsal" in refused(toy)
    narrow = SearchSpace.from_mapping(
        {"name": "narrow", "architectures": {"lstm": {"lstm_units": {"int": [100, 200]}}}}, "x"
    )
    assert refused(good, by=narrow) == (
        f"learn_from: {good}: none of its configurations lies in this space (of the best one lstm_units 40 is outside "
        "of 100 … 200); leave it out, or widen the space"
    )
    assert not (tmp_path / "new").exists()


def test_the_embeddings_of_word_vectors_leave_the_size_out(tmp_path: Path) -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "sizes",
            "shared": {"embedding_size": {"int": [8, 64]}, "lstm_units": {"int": [8, 64]}},
            "architectures": {"lstm": {}},
        },
        "x",
    )
    own = {"architecture": "lstm", "embedding_size": 16, "lstm_units": 20}
    starters = {"found": [{"trial": "a:1", "configuration": own}]}
    config = make_config({"space": space, "starters": starters})
    fixed = starting_from_vectors(space, 50)
    narrowed = in_narrower_space(config, fixed)
    assert narrowed.starters is not None
    (starter,) = narrowed.starters.found
    assert starter.configuration == {"architecture": "lstm", "lstm_units": 20}
    fixed.check_configuration("x", starter.configuration)


def test_a_run_with_the_same_word_vectors_can_be_learned_from(tmp_path: Path) -> None:
    content = {
        "name": "sizes",
        "shared": {"embedding_size": {"int": [16, 64]}, "lstm_units": {"int": [8, 64]}},
        "architectures": {"lstm": {}},
    }
    space = SearchSpace.from_mapping(content, "x")
    vectors = tmp_path / "own.vec"
    vectors.write_text("good 0.1 0.2\n")
    data = {"vectors": str(vectors)}
    trials: Trials = [("lstm", {"lstm_units": 20}, 0.9)]
    run = write_run(tmp_path / "a", starting_from_vectors(space, 300), trials, data=data)
    found = learned({"data": data}, run, space=space, folder=tmp_path / "new")
    kept = {"architecture": "lstm", "lstm_units": 20}
    assert found == (Starter(trial="a:1", configuration=kept),)
    sent = tmp_path / "sent"
    sent.mkdir()
    starters = {"learn_from": str(run)}
    pack_submission(make_config({"space": space, "data": data, "starters": starters}), sent)
    there = with_starters(RunFolder(tmp_path / "b"), make_config({}, config_file=sent / "run.yaml"))
    assert there.starters is not None
    assert there.starters.found == found


def test_a_widened_search_with_starters_can_be_run_again_from_its_settings(
    space: SearchSpace, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "a", space, [("lstm", GOOD, 0.9)])
    content = {**space.to_mapping(), "baselines": []}
    content["shared"]["batch_size"] = 32
    narrow = SearchSpace.from_mapping(content, "narrow")
    content["shared"]["batch_size"] = {"choice": [32, 64]}
    wide = SearchSpace.from_mapping(content, "wide")
    begun = RunFolder(tmp_path / "b")
    asked = {"space": narrow, "out": str(tmp_path), "name": "b"}
    first = with_starters(begun, make_config({**asked, "starters": {"learn_from": str(run)}}))
    write_run_file(begun, first, "data")
    as_before = begun.run_file.read_text()
    begun.journal.touch()
    wider = with_starters(begun, make_config({**asked, "space": wide}))
    write_run_file(begun, wider, "data")
    again = with_starters(RunFolder(tmp_path / "c"), make_config({}, config_file=begun.run_file))
    assert again.starters is not None
    (starter,) = again.starters.found
    assert starter.configuration == {"architecture": "lstm", **GOOD, "batch_size": 32}
    # As earlier versions left it.
    starters = make_config({}, config_file=_written(tmp_path, as_before)).starters
    again = with_starters(
        RunFolder(tmp_path / "d"), make_config({"space": wide, "starters": starters})
    )
    assert again.starters is not None
    assert again.starters.found[0].configuration["batch_size"] == 64


def _written(folder: Path, text: str) -> Path:
    path = folder / "before.yaml"
    path.write_text(text)
    return path


def test_a_submitted_search_takes_its_starters_along(space: SearchSpace, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", space, [("lstm", GOOD, 0.9)])
    asked = make_config({"space": space, "starters": {"learn_from": str(run)}})
    sent = tmp_path / "sent"
    sent.mkdir()
    pack_submission(asked, sent)
    starters = make_config({}, config_file=sent / "run.yaml").starters
    assert starters is not None
    assert (starters.learn_from, starters.found[0].trial) == ((), "a:1")


def test_an_edited_starter_that_lies_outside_is_refused(space: SearchSpace, tmp_path: Path) -> None:
    own = {"architecture": "lstm", **GOOD, "lstm_units": 99}
    starters = {"found": [{"trial": "a:1", "configuration": own}]}
    with pytest.raises(ConfigError, match=r"starters.found\[0\].lstm_units: must lie inside"):
        with_starters(
            RunFolder(tmp_path / "new"), make_config({"space": space, "starters": starters})
        )


@pytest.mark.slow
def test_a_search_goes_on_with_its_starters_where_only_its_copy_is(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    earlier = write_run(tmp_path / "earlier", space, [("lstm", GOOD, 0.9)], trainer="toy")
    learning = {"learn_from": str(earlier)}
    asked = make(space, sentences, tmp_path, name="new", trials=2, starters=learning)
    asked = asked.model_copy(update={"out": f"file://{tmp_path}/copies"})
    first = run_search(asked).run
    recorded = first.recorded.config.starters
    shutil.rmtree(first.folder)  # the head has gone
    shutil.rmtree(earlier)
    again = run_search(asked.model_copy(update={"trials": 3})).run
    assert len(again.leaderboard()) == 3
    assert recorded is not None
    assert again.recorded.config.starters == recorded


def test_only_a_copy_with_a_study_is_a_search_that_has_begun(
    space: SearchSpace, tmp_path: Path
) -> None:
    config = make_config({"space": space, "out": f"file://{tmp_path}/copies", "name": "new"})
    folder, copy = RunFolder(config.folder), tmp_path / "copies" / "new"
    copy.mkdir(parents=True)
    (copy / "run.yaml").write_text("trials: 3\n")  # the search was killed while it made its copy
    with with_record(folder, config) as recorded:
        assert recorded == folder
    (copy / "study.journal").write_text("")
    with with_record(folder, config) as recorded:
        assert recorded != folder
        assert recorded.run_file.read_text() == "trials: 3\n"
        assert recorded.journal.is_file()
    assert not recorded.path.exists()
    with (
        pytest.raises(ConfigError, match=rf"^file://{copy}/run.yaml: damaged$"),
        with_record(folder, config) as recorded,
    ):
        raise ConfigError(f"{recorded.run_file}: damaged")


@pytest.mark.slow
def test_a_search_begins_with_its_starters_and_goes_on_without_the_runs(
    without_ray: None, space: SearchSpace, sentences: Path, tmp_path: Path
) -> None:
    earlier = write_run(tmp_path / "earlier", space, [("lstm", GOOD, 0.9)], trainer="toy")
    settings = {"name": "new", "starters": {"learn_from": str(earlier)}}

    def search(trials: int, **more: Any) -> Run:
        config: SearchConfig = make(space, sentences, tmp_path, trials=trials, **more)
        return run_search(config).run

    board = search(3, **settings).leaderboard().set_index("trial").sort_index()
    assert list(board["baseline"]) == [True, False, False]
    assert [None if each is None else str(each) for each in board["starter"]] == [
        None,
        "earlier:1",
        None,
    ]
    assert board.loc[1, "lstm_units"] == GOOD["lstm_units"]
    earlier.rename(tmp_path / "gone")
    again = search(4, name="new")
    assert again.recorded.config.starters is not None
    assert again.recorded.config.starters.found[0].trial == "earlier:1"
    assert "learn_from" not in again.files.run_file.read_text()
    with pytest.raises(ConfigError, match="no such run folder"):
        search(4, name="another", starters={"learn_from": str(earlier)})
    # The same command again needs the runs no more, and a run that began without cannot begin again.
    assert len(search(5, **settings).leaderboard()) == 5
    plain = search(1, name="plain")
    with pytest.raises(ConfigError, match="began without starters"):
        search(2, name=plain.name, starters={"learn_from": str(tmp_path / "gone")})
