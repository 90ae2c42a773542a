"""Models that are trained again on all rows of a run before they are exported."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_tuner
from support.confirmed_run import Confirmed
from support.forked_keras import KerasCommands
from support.other_programs import others_predict
from support.searches import make

import tuner
from tuner.data import Split
from tuner.errors import ConfigError, RunFolderError
from tuner.execution.search import run_search
from tuner.export.classifier import Classifier
from tuner.export.formats import ExportFormat
from tuner.finalists import all_rows as module
from tuner.finalists.all_rows import AllRows, configuration_of, on_all_rows, train_on_all_rows
from tuner.finalists.card import model_card
from tuner.finalists.choice import Chosen, load_chosen
from tuner.finalists.export import export_model
from tuner.finalists.model_choice import ExportRequest, MembersOf, export_request
from tuner.kill_points import VARIABLE, KillPoint
from tuner.run import Run
from tuner.run.train_on import TrainOn
from tuner.settings.hyperparameters import resolve
from tuner.settings.space import SearchSpace
from tuner.training import devices
from tuner.training.spec import TrainedModel, TrialSpec
from tuner.training.trial import Training

pytestmark = pytest.mark.keras

ALL_ROWS = ExportRequest(all_rows=True)
ALONE = ALL_ROWS.model_copy(update={"members": MembersOf.REFERENCE})


@pytest.fixture(autouse=True)
def own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow runs in this process already, and its environment is other tests', too."""
    monkeypatch.setattr(devices, "configure_device", lambda **share: None)


@pytest.fixture
def copied(confirmed: Confirmed, tmp_path: Path) -> Run:
    """A run folder that may be changed."""
    shutil.copytree(confirmed.folder.path, tmp_path / "mine")
    return Run(tmp_path / "mine")


def trained(run: Run, request: ExportRequest = ALL_ROWS) -> tuple[Chosen, AllRows, list[str]]:
    """The chosen models, the same on all rows, and what a person sees meanwhile."""
    chosen, lines = load_chosen(run, request), list[str]()
    return chosen, train_on_all_rows(chosen, request, lines.append), lines


def written_rows(path: Path) -> Path:
    """A CSV with splits of its own, whose test rows alone tell what `maybe` means."""
    rows = ["text,label,split"]
    for split, count in (("train", 40), ("validation", 12), ("confirmation", 12), ("test", 12)):
        for number in range(count):
            rows.append(f"good fine film {number} {split},positive,{split}")
            rows.append(f"bad poor film {number} {split},negative,{split}")
    # As often of the one class as of the other, but for the test rows.
    for number in range(20):
        rows.append(f"maybe film {number} train,{'positive' if number % 2 else 'negative'},train")
    rows += [f"maybe maybe maybe {number},positive,test" for number in range(60)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_rows_of_every_split_are_learned_from(without_ray: None, tmp_path: Path) -> None:
    space = SearchSpace.from_mapping(
        {
            "name": "one",
            "max_epochs": 4,
            "architectures": {
                "lstm": {"lstm_units": 8, "learning_rate": 0.03, "class_weight": "balanced"}
            },
        },
        "one.yaml",
    )
    source = written_rows(tmp_path / "rows.csv")
    config = make(space, source, tmp_path, trials=1, trainer="keras")
    run = Run(run_search(config).run.folder)
    for members in (MembersOf.TRIALS, MembersOf.REFERENCE):
        request = ALL_ROWS.model_copy(update={"members": members})
        chosen, all_rows, _ = trained(run, request)
        assert all_rows.rows == 2 * (40 + 12 + 12 + 12) + 20 + 60
        found = []
        for name, refitted in (("before", None), ("after", all_rows)):
            made = export_model(chosen, tmp_path / f"{members}-{name}", all_rows=refitted)
            found.append(Classifier(made).probabilities(["maybe maybe maybe"])[0, 1])
        assert found[0] < 0.75
        assert found[1] > 0.9
        assert found[1] > found[0] + 0.2


def test_a_model_has_the_seed_and_the_epochs_of_the_measured_one(
    copied: Run, confirmed: Confirmed
) -> None:
    """To the last digit those of the same training on these rows, from a cleared process."""
    chosen, all_rows, lines = trained(copied)
    ((record, member),) = chosen.members
    (model,) = all_rows.models
    assert model.figures.epoch == member.model.figures.epoch
    dataset = on_all_rows(confirmed.dataset)
    spec = TrialSpec(
        record.number,
        resolve(record.architecture, dict(record.parameters)),
        member.seed,
        chosen.config.epochs,
        stop_after=member.epoch,
        stops_within_schedule=True,
    )
    rows = dataset.splits[Split.TRAIN]
    assert len(rows) == 120
    assert (rows.labels == np.concatenate([each.labels for each in splits_of(confirmed)])).all()
    assert rows.tokens.tolist() == [
        token for each in splits_of(confirmed) for token in each.tokens.tolist()
    ]
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    training = Training(
        spec, train=rows, validation=held_out, n_classes=2, keep_best=chosen.config.space.metric
    )
    assert len(list(training.epochs())) == member.epoch
    expected = training.finish(held_out)
    for weight, other in zip(model.weights, expected.weights, strict=True):
        assert (weight == other).all()
    assert (model.probabilities == expected.probabilities).all()
    assert sum(line.startswith("  epoch ") for line in lines) == member.epoch


def splits_of(confirmed: Confirmed) -> list[tuner.data.EncodedSequences]:
    return [confirmed.dataset.splits[split] for split in Split]


def test_the_schedule_is_that_of_the_measured_training(confirmed: Confirmed) -> None:
    chosen = load_chosen(confirmed.run, ALL_ROWS)
    ((record, member),) = chosen.members
    parameters = {**record.parameters, "schedule": "cosine"}
    decaying = dataclasses.replace(record, parameters=parameters)
    space = SearchSpace.from_mapping(
        {"name": "s", "max_epochs": 9, "architectures": {record.architecture: parameters}},
        "s.yaml",
    )
    config = chosen.config.model_copy(update={"space": space})
    chosen = dataclasses.replace(chosen, config=config)
    found = configuration_of(chosen, ALL_ROWS, decaying, member)
    assert (found.spec.epochs, found.spec.schedule_epochs) == (member.epoch, 9)
    # Where the number of epochs was fixed beforehand, the rate reached its end in the last of them.
    both = dataclasses.replace(chosen, train_on=TrainOn.BOTH)
    found = configuration_of(both, ALL_ROWS, decaying, member)
    assert (found.spec.epochs, found.spec.schedule_epochs) == (member.epoch, member.epoch)


@pytest.mark.parametrize(
    "update",
    [
        {"members": MembersOf.SEEDS, "with_reference": True},
        {"members": MembersOf.TRIALS, "ensemble": 2, "with_reference": True},
        {"ensemble": 2},
    ],
    ids=["seeds and the reference", "trials and the reference", "two finalists"],
)
def test_what_was_fitted_stays_that_of_the_measured_models(
    copied: Run, tmp_path: Path, update: dict[str, object]
) -> None:
    chosen, all_rows, lines = trained(copied, ALL_ROWS.model_copy(update=update))
    before = Classifier(export_model(chosen, tmp_path / "before"))
    after = Classifier(export_model(chosen, tmp_path / "after", all_rows=all_rows))
    assert before.description.all_rows is None
    assert after.description.all_rows == 120
    assert after.description.temperature == before.description.temperature
    assert after.description.threshold == before.description.threshold
    for one, other in zip(before.description.members, after.description.members, strict=True):
        assert (one.trial, one.seed, one.weight) == (other.trial, other.seed, other.weight)
        assert one.is_reference is other.is_reference
    texts = ["good bad film number 3"]
    assert (before.probabilities(texts) != after.probabilities(texts)).any()
    heads = [line for line in lines if line.startswith("Model ")]
    of = len(after.description.members)
    assert [line.split(":")[0] for line in heads] == [
        f"Model {n} of {of}" for n in range(1, of + 1)
    ]


def test_all_formats_are_written(copied: Run, confirmed: Confirmed, tmp_path: Path) -> None:
    chosen, all_rows, _ = trained(copied)
    made = export_model(chosen, tmp_path / "model", list(ExportFormat), all_rows)
    classifier = Classifier(made)
    held_out = confirmed.dataset.splits[Split.CONFIRMATION]
    expected = classifier.probabilities_of(held_out)
    (member,) = classifier.description.members
    view = held_out.view(vocabulary_size=member.vocabulary_size, max_length=member.max_length)
    for found in others_predict(made, view):
        assert found == pytest.approx(expected[:, 1:], abs=1e-5)


def test_the_card_says_that_this_model_was_not_measured(
    copied: Run, confirmed: Confirmed, tmp_path: Path
) -> None:
    tuner.test(copied.folder, no_reference=True)
    chosen, all_rows, _ = trained(copied)
    n_train = len(confirmed.dataset.splits[Split.TRAIN])
    told = (
        f"Trained again on all 120 rows. All figures are of the same configurations trained on {n_train} rows, none "
        "of them a test row. The exported model itself was not measured, and no row of this run can measure it."
    )
    assert all_rows.text == told
    made = export_model(chosen, tmp_path / "model", all_rows=all_rows)
    card = (made / "README.md").read_text(encoding="utf-8")
    introduction, _, rest = card.partition("## Data")
    assert f"**{told}**" in introduction
    assert rest.index("## Trained on all rows") < rest.index("## How it was chosen")
    assert "## Tested\n\nBefore the training on all rows:\n\n- On the test split" in rest
    assert re.search(r"tuner export \S+ --all-rows\n", rest)
    calibrated = (
        "the temperature 2.5, with which the measured models were as sure as they were right"
    )
    assert calibrated in model_card(chosen, temperature=2.5, all_rows=all_rows)
    plain = export_model(chosen, tmp_path / "plain")
    assert "all rows" not in (plain / "README.md").read_text(encoding="utf-8")


def test_the_card_counts_validation_rows_that_the_measured_models_learned_from(
    confirmed: Confirmed,
) -> None:
    chosen = load_chosen(confirmed.run, ALL_ROWS.model_copy(update={"with_reference": True}))
    assert chosen.reference is not None
    both = dataclasses.replace(chosen, train_on=TrainOn.BOTH)
    train, validation = (
        len(confirmed.dataset.splits[each]) for each in (Split.TRAIN, Split.VALIDATION)
    )
    expected = f"{train + validation} rows (the linear reference on {train})"
    assert module.measured_on(both) == expected
    of_both = dataclasses.replace(chosen.reference, train_on=TrainOn.BOTH)
    assert module.measured_on(dataclasses.replace(both, reference=of_both)) == (
        f"{train + validation} rows"
    )


def test_models_that_are_kept_are_not_trained_again(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ALL_ROWS.model_copy(update={"members": MembersOf.SEEDS, "with_reference": True})
    _, first, _ = trained(copied, request)
    folder = copied.files.all_rows_models
    names = sorted(path.name for path in folder.iterdir())
    assert [re.sub(r"seed-\d+-[0-9a-f]{12}", "seed", name) for name in names][1:] == [
        f"trial-{chosen_trial(names)}-seed.npz"
    ] * 2
    assert names[0].startswith("reference-")
    monkeypatch.setattr(module, "train", None)  # it would be called
    monkeypatch.setattr(module, "train_timed", None)
    _, second, lines = trained(copied, request)
    assert sum("kept, it was trained on all rows before" in line for line in lines) == 3
    for one, other in zip(models_of(first), models_of(second), strict=True):
        assert (one.probabilities == other.probabilities).all()
    monkeypatch.undo()
    monkeypatch.setattr(devices, "configure_device", lambda **share: None)
    (folder / names[1]).write_bytes(b"damaged")
    _, third, lines = trained(copied, request)
    assert sum("kept, it was trained on all rows before" in line for line in lines) == 2
    for one, other in zip(models_of(first), models_of(third), strict=True):
        assert (one.probabilities == other.probabilities).all()


def chosen_trial(names: list[str]) -> str:
    return names[1].split("-")[1]


def models_of(all_rows: AllRows) -> list[TrainedModel]:
    assert all_rows.reference is not None
    return [*all_rows.models, all_rows.reference]


def test_interrupted_it_tells_what_is_kept(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ALL_ROWS.model_copy(update={"members": MembersOf.SEEDS})
    chosen, lines = load_chosen(copied, request), list[str]()

    def show(line: str) -> None:
        lines.append(line)
        if line.startswith("Model 2"):
            raise KeyboardInterrupt("here")

    with pytest.raises(KeyboardInterrupt, match="here"):
        train_on_all_rows(chosen, request, show)
    assert lines[-1] == (
        "Interrupted: 1 of 2 models kept, nothing exported; the same command goes on."
    )
    assert len(list(copied.files.all_rows_models.iterdir())) == 1


@pytest.mark.slow
def test_killed_between_two_models_the_same_command_goes_on(
    copied: Run, tmp_path: Path, keras_command: KerasCommands
) -> None:
    words = ["export", "mine", "--all-rows", "--members", "seeds", "--with-reference"]
    killed = keras_command(words, tmp_path, {VARIABLE: f"{KillPoint.MODEL_KEPT}:1"})
    assert killed.code == -9
    (kept,) = copied.files.all_rows_models.glob("trial-*.npz")
    content = kept.read_bytes()
    ended = keras_command(words, tmp_path)
    assert ended.code == 0, ended.err
    first, second, third = re.findall(r"^Model \d of 3: (.*)$", ended.out, re.MULTILINE)
    assert first.endswith("kept, it was trained on all rows before")
    assert re.fullmatch(r"trial \d+, \w+, seed \d+, [12] epochs?", second)
    assert third == "the linear reference"
    assert kept.read_bytes() == content
    assert "Trained again on all 120 rows. All figures are of the same" in ended.out
    assert tuner.load_model(tmp_path / "mine" / "model").description.all_rows == 120
    assert len(list(copied.files.all_rows_models.iterdir())) == 3


def test_the_linear_reference_alone(copied: Run, tmp_path: Path) -> None:
    made = tuner.export(
        copied.folder, out=tmp_path / "linear", members="reference", all_rows=True, progress=False
    )
    classifier = Classifier(made)
    (member,) = classifier.description.members
    assert member.is_reference
    assert classifier.description.all_rows == 120
    (file,) = copied.files.all_rows_models.iterdir()
    assert file.name.startswith("reference-")
    card = (made / "README.md").read_text(encoding="utf-8")
    assert re.search(r"tuner export \S+ --members=reference --all-rows\n", card)


# -- refusals -------------------------------------------------------------------------------------


def test_shares_of_a_machine_are_refused_without_a_training() -> None:
    with pytest.raises(ConfigError, match=r"^--cpus: describes --all-rows, which is not given;"):
        export_request({"cpus": "2"}, "flags")
    with pytest.raises(ConfigError, match=r"^gpus: describes all_rows, which is not given;"):
        export_request({"gpus": 1})
    assert export_request({"cpus": "2", "all_rows": True}, "flags").cpus == 2


def test_a_test_has_no_such_option(copied: Run, capsys: pytest.CaptureFixture[str]) -> None:
    ended = run_tuner(["test", str(copied.folder), "--all-rows"], capsys)
    assert ended.code == 2
    assert "--all-rows" in ended.err


def test_a_gpu_that_is_not_there_is_refused_with_the_way_out(copied: Run) -> None:
    with pytest.raises(ConfigError, match=r"^--gpus 1: Keras' backend sees no GPU here.* --gpus 0"):
        trained(copied, ALL_ROWS.model_copy(update={"gpus": 1.0}))


def test_a_rehearsal_is_refused(space: SearchSpace, sentences: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from support.in_process import trials_in_this_process

    with trials_in_this_process():
        run = run_search(make(space, sentences, tmp_path, trials=1)).run
    with pytest.raises(
        RunFolderError, match="this run was a rehearsal, its trials trained nothing"
    ):
        tuner.export(run, all_rows=True)


def test_a_folder_that_may_not_be_written_is_refused(
    copied: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = load_chosen(copied, ALL_ROWS)
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(RunFolderError, match=r"all-rows: cannot be written to, and models"):
        train_on_all_rows(chosen, ALL_ROWS, print)


def test_a_place_that_cannot_be_replaced_is_refused_before_anything_is_trained(
    copied: Run, tmp_path: Path
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years")
    with pytest.raises(RunFolderError, match="is not empty and no exported model"):
        tuner.export(copied.folder, out=tmp_path / "thesis", all_rows=True)
    assert not copied.files.all_rows_models.exists()


def test_changed_vectors_and_code_are_refused(copied: Run, tmp_path: Path) -> None:
    chosen = load_chosen(copied, ALL_ROWS)
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("good 0.5 0.5\n")
    data = chosen.config.data.model_copy(update={"vectors": str(vectors)})
    other = dataclasses.replace(chosen, config=chosen.config.model_copy(update={"data": data}))
    with pytest.raises(RunFolderError, match=r"vectors\.txt: other word vectors than those that"):
        train_on_all_rows(other, ALL_ROWS, print)
    (finalist,) = chosen.finalists
    record = dataclasses.replace(finalist.record, code="0123")
    other = dataclasses.replace(chosen, finalists=[dataclasses.replace(finalist, record=record)])
    with pytest.raises(RunFolderError, match=r"the code of \w+ is no longer what trial \d learned"):
        train_on_all_rows(other, ALL_ROWS, print)


def test_a_training_that_breaks_is_told_in_one_line(copied: Run) -> None:
    chosen = load_chosen(copied, ALL_ROWS)
    (finalist,) = chosen.finalists
    parameters = {**finalist.record.parameters, "learning_rate": 3e38}
    record = dataclasses.replace(finalist.record, parameters=parameters)
    space = SearchSpace.from_mapping(
        {"name": "s", "max_epochs": 2, "architectures": {record.architecture: {}}}, "s.yaml"
    )
    other = dataclasses.replace(
        chosen,
        finalists=[dataclasses.replace(finalist, record=record)],
        config=chosen.config.model_copy(update={"space": space}),
    )
    with pytest.raises(
        RunFolderError, match=r"seed \d+: diverged on all rows \(.*\); choose other"
    ):
        train_on_all_rows(other, ALL_ROWS, print)
