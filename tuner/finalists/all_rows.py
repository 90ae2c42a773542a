"""Trains chosen models again on all rows of a run, for the model that one keeps.

Each has the hyperparameters, the seed and the schedule of the model that was measured, and as many epochs as that one's
weights have seen. Nothing is fitted or chosen here: no row is left to do that by. Must not import Ray.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.data import Dataset, Split, joined, load_dataset
from tuner.data.vectors import digest_of
from tuner.errors import RunFolderError
from tuner.files import can_be_made, write_bytes_atomically
from tuner.finalists.choice import Chosen
from tuner.finalists.finalist import ModelFile
from tuner.finalists.model_choice import ExportRequest
from tuner.kill_points import KillPoint, kill_point
from tuner.run.records import TrialRecord
from tuner.run.train_on import TrainOn, rows_of
from tuner.run.trial_status import TrialStatus
from tuner.search.kept_reference import train_timed
from tuner.text import count_text
from tuner.training.gpus_of_machine import default_gpus
from tuner.training.own_code import code_of
from tuner.training.single.configurations import Configuration
from tuner.training.single.training import prepare, train
from tuner.training.spec import EpochResult, TrainedModel, TrialSpec
from tuner.training.trained_model_file import from_bytes, to_bytes

_FORMAT = 1  # of what decides a model; another one trains all of them again
Show = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class AllRows:
    """The chosen models, trained again on all rows.

    Attributes:
        models: in the order of `Chosen.members`; like the reference, with probabilities on the confirmation split,
            which they have learned from: to check what is written, not to measure.
        reference: None where it is no member.
        rows: that they learned from.
        measured: what the measured models learned from, in words: `3,500 rows`.
        longest: tokens of the longest of all sequences.
    """

    models: Sequence[TrainedModel]
    reference: TrainedModel | None
    rows: int
    measured: str
    longest: int

    @property
    def text(self) -> str:
        """What a person must know of such a model."""
        return (
            f"Trained again on all {self.rows:,} rows. All figures are of the same configurations trained on "
            f"{self.measured}, none of them a test row. The exported model itself was not measured, and no row of "
            "this run can measure it."
        )


def train_on_all_rows(chosen: Chosen, request: ExportRequest, show: Show) -> AllRows:
    """Trains the chosen models again, one after the other in this process; those that are kept are not trained again.

    Args:
        show: takes lines for people: which model, and its epochs as they end.

    Raises:
        RunFolderError: the run folder may not be written, its vectors or code have changed, or a training broke.
        ConfigError: Keras' backend sees no GPU, and the run's trials had one.
    """
    folder = chosen.run.files.all_rows_models
    if not can_be_made(folder / "model.npz"):
        raise RunFolderError(
            f"{folder}: cannot be written to, and models trained on all rows are kept there; copy the run folder to "
            "where you may write, and export there"
        )
    _check_unchanged(chosen)
    has_vectors = bool(chosen.members) and chosen.config.data.vectors is not None
    dataset = on_all_rows(load_dataset(chosen.config.data) if has_vectors else chosen.dataset)
    rows = len(dataset.splits[Split.TRAIN])
    wanted = [configuration_of(chosen, request, *each) for each in chosen.members]
    files = [_file(chosen, dataset, each) for each in wanted]
    kept = [_kept(file, dataset) for file in files]
    of = len(wanted) + (chosen.reference is not None)
    measured = measured_on(chosen)
    show(
        f"{count_text(of, 'model')} on all {rows:,} rows{', one after the other' if of > 1 else ''}; what was measured "
        f"learned from {measured}."
    )
    missing = [each for each, model in zip(wanted, kept, strict=True) if model is None]
    if missing:
        prepare(missing, may_run_already=True)
    models: list[TrainedModel] = []
    with _telling_what_is_kept(show, models, of):
        for number, (configuration, file, model) in enumerate(
            zip(wanted, files, kept, strict=True), start=1
        ):
            head = f"Model {number} of {of}: {configuration.title}"
            if model is None:
                show(f"{head}, {count_text(configuration.epochs, 'epoch')}")
                model = _trained(configuration, dataset, show)
                write_bytes_atomically(file, to_bytes(model))
                kill_point(KillPoint.MODEL_KEPT)
            else:
                show(f"{head}: kept, it was trained on all rows before")
            models.append(model)
        reference = None
        if chosen.reference is not None:
            reference = _reference(chosen, dataset, f"Model {of} of {of}", show)
    longest = int(dataset.splits[Split.TRAIN].lengths.max())
    return AllRows(models, reference, rows, measured, longest)


def on_all_rows(dataset: Dataset) -> Dataset:
    """The data set with the rows of every split to learn from.

    Validation rows, on which each epoch is measured, are the confirmation rows: the written model has to reproduce
    probabilities on some rows, and they are those of the measured models.
    """
    held_out = dataset.splits[Split.CONFIRMATION]
    splits = {
        **dataset.splits,
        Split.TRAIN: joined([dataset.splits[split] for split in Split]),
        Split.VALIDATION: held_out,
    }
    return replace(dataset, splits=splits, clusters={})


def _check_unchanged(chosen: Chosen) -> None:
    """Refuses word vectors, and code of a person's own, that are not those that the measured models learned with.

    Raises:
        RunFolderError: they are not.
    """
    where, fingerprint = chosen.run.folder, chosen.run.recorded.fingerprint
    vectors = chosen.config.data.vectors
    if chosen.members and vectors is not None and fingerprint is not None:
        chosen.run.recorded.check_vectors(chosen.config.data)
        if fingerprint.vectors != digest_of(vectors):
            raise RunFolderError(
                f"{vectors}: other word vectors than those that {where} learned with; bring these back, or export "
                "without --all-rows"
            )
    if chosen.config.accept_changed_code:
        return
    code = code_of(record.architecture for record, _ in chosen.members)
    for record, _ in chosen.members:
        if record.code is not None and code.get(record.architecture) != record.code:
            raise RunFolderError(
                f"{where}: the code of {record.architecture} is no longer what trial {record.number} learned with; "
                "restore it, or export without --all-rows"
            )


def measured_on(chosen: Chosen) -> str:
    """What the measured models learned from."""
    rows = f"{len(rows_of(chosen.dataset, chosen.train_on)):,} rows"
    if chosen.trials is not None and chosen.config.rotate_validation:
        rows = f"about {rows} each, all but the part that validated it"
    if chosen.reference is None or chosen.reference.train_on is chosen.train_on:
        return rows
    of_reference = f"{len(rows_of(chosen.dataset, chosen.reference.train_on)):,}"
    if not chosen.members:
        return f"{of_reference} rows"
    return f"{rows} (the linear reference on {of_reference})"


def configuration_of(
    chosen: Chosen, request: ExportRequest, record: TrialRecord, member: ModelFile
) -> Configuration:
    """The training of one of the models, which ends after the epoch whose weights were measured."""
    config = chosen.config
    asked = config.gpus_per_trial if request.gpus is None else request.gpus
    gpus = default_gpus() if asked is None else asked
    epochs = member.epoch
    return Configuration(
        title=f"trial {record.number}, {record.architecture}, seed {member.seed}",
        spec=TrialSpec(
            record.number,
            config.space.hyperparameters(record.architecture, record.parameters),
            member.seed,
            config.epochs,
            stop_after=epochs,
            # Where the number of epochs was fixed beforehand, the schedule ended with them.
            stops_within_schedule=chosen.train_on is TrainOn.TRAIN,
        ),
        epochs=epochs,
        parameters=record.parameters,
        data=config.data,
        metric=config.space.metric,
        cpus=request.cpus or config.cpus_per_trial,
        gpus=1.0 if gpus == "auto" else gpus,
        are_gpus_asked=asked is not None,
    )


def _trained(configuration: Configuration, dataset: Dataset, show: Show) -> TrainedModel:
    def tell(result: EpochResult) -> None:
        show(
            f"  epoch {result.epoch} of {configuration.epochs}: loss {result.loss:.4f}, "
            f"accuracy {result.accuracy:.4f}, {result.seconds:.1f} s"
        )

    trained = train(configuration, dataset, tell, keep_model=True)
    if trained.status is not TrialStatus.COMPLETE or trained.model is None:
        raise RunFolderError(
            f"{configuration.title}: {trained.status} on all rows ({trained.error}); choose other models, or export "
            "without --all-rows"
        )
    return trained.model


def _reference(chosen: Chosen, dataset: Dataset, head: str, show: Show) -> TrainedModel:
    """The linear reference, trained on all rows."""
    file = _path(chosen, "reference", {"data": dataset.fingerprint, "tokens": dataset.token_mode})
    model = _kept(file, dataset)
    if model is not None:
        show(f"{head}: the linear reference: kept, it was trained on all rows before")
        return model
    show(f"{head}: the linear reference")
    trained = train_timed(dataset)
    if not trained.model.weights:
        raise RunFolderError(
            f"{chosen.run.files.path}: trained on all rows, the linear reference knows no n-gram; export without "
            "--all-rows"
        )
    show(f"  {trained.seconds:.1f} s")
    write_bytes_atomically(file, to_bytes(trained.model))
    return trained.model


@contextmanager
def _telling_what_is_kept(show: Show, models: Sequence[TrainedModel], of: int) -> Iterator[None]:
    """Tells, where it is interrupted, that the same command goes on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        show(
            f"Interrupted: {len(models)} of {count_text(of, 'model')} kept, nothing exported; the same command goes on."
        )
        raise


# -- files ----------------------------------------------------------------------------------------


def _file(chosen: Chosen, dataset: Dataset, configuration: Configuration) -> Path:
    """The file of a model: another training has another name."""
    spec, vectors = configuration.spec, chosen.config.data.vectors
    architecture = spec.hyperparameters.architecture
    decides = {
        "data": dataset.fingerprint,
        "hyperparameters": spec.hyperparameters.model_dump(mode="json"),
        "max_epochs": spec.max_epochs,
        "epochs": spec.epochs,
        "stops_within_schedule": spec.stops_within_schedule,
        "vectors": None if vectors is None else digest_of(vectors),
        "code": code_of([architecture]).get(architecture),
    }
    return _path(chosen, f"trial-{spec.number}-seed-{spec.seed}", decides)


def _path(chosen: Chosen, name: str, decides: dict[str, object]) -> Path:
    content = json.dumps({"format": _FORMAT, **decides}, sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    return chosen.run.files.all_rows_models / f"{name}-{digest[:12]}.npz"


def _kept(file: Path, dataset: Dataset) -> TrainedModel | None:
    """The model in a file; None where there is none, or a damaged one."""
    try:
        model = from_bytes(file.read_bytes(), str(file))
    except (OSError, RunFolderError):
        return None
    expected = (len(dataset.splits[Split.CONFIRMATION]), len(dataset.class_names))
    return model if model.weights and model.probabilities.shape == expected else None
