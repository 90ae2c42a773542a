"""`tests.yaml`, the test log: every test evaluation of a run, as `tuner test` recorded it.

A split that a person chose models by tests them no longer, so each evaluation knows the earlier ones of the same rows.
Must not import Ray, Keras or Optuna.
"""

import itertools
import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from tuner.errors import RunFolderError
from tuner.files import can_be_made, lock_file, write_atomically, write_bytes_atomically
from tuner.run.folder import RunFolder
from tuner.run.ledger import OtherEvaluation
from tuner.run.reference_record import Comparison
from tuner.settings.validation import Strict, first_problem
from tuner.settings.yaml_files import OneLine, read_yaml, to_yaml
from tuner.text import one_group_lines, one_line, score_text

TEST_SPLIT = "the test split"  # the `data` of an evaluation on it
_PER_CLASS = re.compile(r"tests/\d+\.csv")
_TIMES_LARGER = 10  # than what a person writes: a thousand evaluations of 20 classes
MOST_CLASSES = 20  # of more, the log has those of lowest F1, and a file beside it has all


class ClassFigures(Strict):
    """The figures of one class."""

    precision: float  # of those predicted as this class; 0 where none was
    recall: float  # of those of this class
    f1: float
    count: int  # sequences of the class


class EvaluationFigures(Strict):
    """A model's figures on sequences that it never saw."""

    model_config = ConfigDict(allow_inf_nan=True)

    sequences: int
    # Texts or groups that these are of; None where each is its own, and in a log of an earlier version.
    clusters: int | None = None
    accuracy: float
    low: float  # a 95 % interval of the accuracy on further sequences
    high: float
    loss: float
    roc_auc: float | None = None  # of two classes, where both occur
    calibration_error: float | None = (
        None  # expected; over bins of equal width in a log of an earlier version
    )
    brier: float | None = None  # None in a log of an earlier version
    classes: Mapping[str, ClassFigures]
    # One row per true class, one column per predicted one; empty in the log where there are many classes.
    confusion: tuple[tuple[int, ...], ...]
    macro_f1: float | None = None  # None in a log of an earlier version
    # Classes that occur as label or prediction, of which macro F1 is the mean; None in a log of an earlier version.
    n_occurring: int | None = None
    n_classes: int | None = None  # None: all of them are in `classes`

    @property
    def notes(self) -> list[str]:
        """A line where the rows are of one group alone."""
        return one_group_lines("tested", self.clusters)

    @property
    def by_f1(self) -> list[str]:
        """The classes by ascending F1; those without sequences come last, because they have no recall."""

        def key(name: str) -> tuple[bool, float, str]:
            figures = self.classes[name]
            return figures.count == 0, figures.f1, name

        return sorted(self.classes, key=key)

    def without_most_classes(self) -> "EvaluationFigures":
        """The figures with the classes of lowest F1 alone, and without the confusion."""
        names = self.by_f1
        return self.model_copy(
            update={
                "classes": {name: self.classes[name] for name in names[:MOST_CLASSES]},
                "confusion": (),
                "n_classes": len(self.classes),
            }
        )


class ReferenceFigures(Strict):
    """The linear reference on the same sequences, and by how much the model is better, by the accuracy."""

    accuracy: float
    gain: float  # negative where the model is worse
    low: float  # a 95 % interval of it, paired
    high: float
    # Whether both were decided at 0.5 although the model has another threshold.
    ignores_threshold: bool = False

    @property
    def text(self) -> str:
        """`0.8812, linear model on n-grams; the tested one is better by 0.0190 (…)`."""
        compared = Comparison(name="the tested one", gain=self.gain, low=self.low, high=self.high)
        even = ", both with the threshold 0.5" if self.ignores_threshold else ""
        return f"{score_text(self.accuracy)}, linear model on n-grams; {compared.text}{even}"


class RecordedEvaluation(Strict):
    """One evaluation of a model on test rows. Its fields, but for `before`, are the keys in the file."""

    opened: str  # when, in UTC
    data: str  # the test split, or a file
    members: tuple[str, ...]  # `trial 7, seed 123`
    figures: EvaluationFigures
    left_out: int = 0  # rows that the run has seen, or that are no test rows
    of_test_split: int = 0  # rows of the file that are in the run's own test split
    # Of two classes: the probability above which a sequence was of the second one; None: the likelier class.
    threshold: float | None = None
    per_class: str | None = None  # the file of all classes, in the run folder, where there are many
    # Of other runs, on some of these rows, earlier; None: none that is known.
    others: tuple[OtherEvaluation, ...] | None = None
    reference: ReferenceFigures | None = None
    before: tuple[str, ...] = Field((), exclude=True)  # when the same rows were evaluated earlier

    def shares_rows_with(self, other: "RecordedEvaluation") -> bool:
        """Whether both are of the same file, or both have rows of the test split."""
        return self.data == other.data or (self._is_of_split and other._is_of_split)

    @property
    def _is_of_split(self) -> bool:
        return self.data == TEST_SPLIT or self.of_test_split > 0


class _File(Strict):
    """The content of the file: an earlier word for test evaluations is its key."""

    openings: tuple[RecordedEvaluation, ...]


def read_test_log(folder: RunFolder) -> tuple[RecordedEvaluation, ...]:
    """The test evaluations, the first one first; none before any.

    Raises:
        RunFolderError: the file is damaged.
    """
    if not folder.tests.is_file():
        return ()
    try:
        content = read_yaml(folder.tests, RunFolderError, times_larger=_TIMES_LARGER)
    except RunFolderError as cause:
        raise RunFolderError(f"{cause}; move it away") from cause
    try:
        return _with_before(_File.model_validate(content).openings)
    except ValidationError as cause:
        raise RunFolderError(
            f"{folder.tests}: damaged ({first_problem(cause)}); move it away"
        ) from cause


def check_recordable(folder: RunFolder) -> None:
    """Refuses a folder that no test evaluation can be recorded in, before one is made.

    Raises:
        RunFolderError: it may not be written, or its file system knows no locks.
    """
    try:
        with _locked(folder):
            reason = None if can_be_made(folder.tests) else "it may not be written"
    except OSError as cause:
        reason = cause.strerror or one_line(str(cause))
    if reason is not None:
        raise RunFolderError(
            f"{folder.path}: no test evaluation can be recorded in it ({reason}); copy it to a place where that is "
            "possible, and test it there"
        )


def append_evaluation(folder: RunFolder, evaluation: RecordedEvaluation) -> RecordedEvaluation:
    """Records a test evaluation; of two processes that do so at the same time, both are recorded.

    Of many classes, the log has a few, and a CSV file all: with a matrix of 1,000 classes nobody could read it.

    Returns:
        It, with the earlier ones of the same rows.

    Raises:
        RunFolderError: the file is damaged.
    """
    with _locked(folder):
        earlier = read_test_log(folder)
        recorded = evaluation
        if len(evaluation.figures.classes) > MOST_CLASSES:
            path = _free_place(folder)
            _write_per_class(evaluation.figures, path)
            evaluation = evaluation.model_copy(
                update={"per_class": path.relative_to(folder.path).as_posix()}
            )
            figures = evaluation.figures.without_most_classes()
            recorded = evaluation.model_copy(update={"figures": figures})
        evaluations = _write(folder, (*earlier, recorded))
    return evaluation.model_copy(update={"before": evaluations[-1].before})


def merge_evaluations(folder: RunFolder, read: Callable[[str], bytes | None]) -> None:
    """Adds the test evaluations of another copy of the run; those that are here stay.

    Args:
        read: gives a file of that copy by its name relative to it; None where it has none.

    Raises:
        RunFolderError: one of the two logs is damaged.
    """
    content = read(folder.tests.name)
    if content is None:
        return
    with _locked(folder), tempfile.TemporaryDirectory() as temporary:
        theirs = RunFolder(Path(temporary))
        theirs.tests.write_bytes(content)
        ours = read_test_log(folder)
        known = {_identity(each) for each in ours}
        merged = list(ours)
        for each in read_test_log(theirs):
            if _identity(each) in known:
                continue
            name = each.per_class or ""
            rows = read(name) if _PER_CLASS.fullmatch(name) else None
            place = _free_place(folder) if rows is not None else None
            if rows is not None and place is not None:
                write_bytes_atomically(place, rows)
            kept = place.relative_to(folder.path).as_posix() if place is not None else None
            merged.append(each.model_copy(update={"per_class": kept}))
        if len(merged) > len(ours):
            _write(folder, sorted(merged, key=lambda each: each.opened))


def _identity(evaluation: RecordedEvaluation) -> tuple[object, ...]:
    return evaluation.opened, evaluation.data, evaluation.members


@contextmanager
def _locked(folder: RunFolder) -> Iterator[None]:
    folder.logs.mkdir(parents=True, exist_ok=True)
    with open(folder.logs / "tests.lock", "w") as lock:
        lock_file(lock, wait_s=math.inf)
        yield


def _free_place(folder: RunFolder) -> Path:
    """Where the classes of the next evaluation are written."""
    places = (folder.test_classes / f"{number}.csv" for number in itertools.count(1))
    return next(place for place in places if not place.exists())


def _write(
    folder: RunFolder, evaluations: Sequence[RecordedEvaluation]
) -> tuple[RecordedEvaluation, ...]:
    whole = _with_before(evaluations)
    content = _File(openings=whole).model_dump(mode="json", exclude_none=True)
    for each in content["openings"]:
        figures = each["figures"]
        figures["confusion"] = [OneLine(row) for row in figures["confusion"]]
    write_atomically(folder.tests, to_yaml(content))
    return whole


def _write_per_class(figures: EvaluationFigures, path: Path) -> None:
    """Writes one row per class, with the class that its sequences were most often called instead."""
    import pandas as pd

    from tuner.run.csv_text import write_csv

    names = list(figures.classes)
    rows = []
    for number, (name, each) in enumerate(figures.classes.items()):
        others = {
            other: count
            for other, count in zip(names, figures.confusion[number], strict=True)
            if other != name and count
        }
        most = max(others, key=others.__getitem__, default="")
        rows.append((name, *each.model_dump().values(), most, others.get(most, 0)))
    columns = ["class", *ClassFigures.model_fields, "most_often_called", "so_often"]
    frame = pd.DataFrame(rows, columns=columns)
    write_csv(frame, path, unchanged={"class", "most_often_called"})


LINEAR_REFERENCE = "the linear reference"  # the name of that member in the log


def member_name(trial: int | None, seed: int) -> str:
    """The name of a tested model in the log."""
    return f"trial {trial}, seed {seed}"


def _with_before(evaluations: Sequence[RecordedEvaluation]) -> tuple[RecordedEvaluation, ...]:
    return tuple(
        each.model_copy(
            update={
                "before": tuple(
                    earlier.opened
                    for earlier in evaluations[:number]
                    if earlier.shares_rows_with(each)
                )
            }
        )
        for number, each in enumerate(evaluations)
    )
