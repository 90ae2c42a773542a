"""The finalists in order, from the journal and the models that a confirmation left: `finalists.csv`.

Must not import Ray, Keras or TensorFlow.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tuner.data import Dataset, Split
from tuner.driver.files import RunFiles
from tuner.errors import RunFolderError
from tuner.finalists.statistics import Spread, is_tie, spread_of_hits, spread_of_values, values_tie
from tuner.leaderboard import write_csv
from tuner.records import Attribute, StudyReader, TrialRecord
from tuner.run_folder import RunFolder
from tuner.space import MetricName, Mode, SearchSpace
from tuner.status import TrialStatus
from tuner.study import CONFIRMATION, load_study
from tuner.trial.model_file import from_bytes
from tuner.trial.spec import TrainedModel


@dataclass(frozen=True, eq=False)
class Member:
    """One finalist trained with one seed."""

    seed: int
    file: Path
    score: float  # the run's metric on the confirmation split

    @cached_property
    def model(self) -> TrainedModel:
        """Its weights, and what it said of the confirmation split.

        Raises:
            RunFolderError: its file is missing or damaged.
        """
        try:
            content = self.file.read_bytes()
        except OSError as cause:
            raise RunFolderError(
                f"{self.file}: cannot be read ({cause.strerror}); `tuner fetch` or `tuner confirm` brings it back"
            ) from cause
        return from_bytes(content, str(self.file))


@dataclass(frozen=True, eq=False)
class Finalist:
    """A trial of the search, confirmed with fresh seeds."""

    record: TrialRecord  # of the search
    members: tuple[Member, ...]  # best first
    spread: Spread  # of the run's metric
    hits: NDArray[np.bool_] | None  # (n_seeds, n_sequences), where the metric is accuracy

    def ties_with(self, other: "Finalist") -> bool:
        """Whether nothing says that one is better than the other, at a level of 5 %."""
        if self.hits is not None and other.hits is not None:
            return is_tie(self.hits, other.hits)
        return values_tie(*([member.score for member in each.members] for each in (self, other)))


def read_finalists(folder: RunFolder, dataset: Dataset) -> list[Finalist]:
    """The finalists of a run, best first by their mean on the confirmation split.

    Raises:
        RunFolderError: there are none yet, or a model is missing.
    """
    search = StudyReader(load_study(folder.journal))
    try:
        confirmation = StudyReader(load_study(folder.journal, CONFIRMATION))
    except RunFolderError as cause:
        raise RunFolderError(
            f"{folder.path}: no finalists yet; tuner confirm {folder.path}"
        ) from cause
    finalists = ranked_finalists(search, confirmation, folder, dataset)
    if not finalists:
        raise RunFolderError(
            f"{folder.path}: no finalist has ended yet; tuner confirm {folder.path}"
        )
    return finalists


def ranked_finalists(
    search: StudyReader, confirmation: StudyReader, folder: RunFolder, dataset: Dataset
) -> list[Finalist]:
    """Best first, by the mean over their seeds; equal ones by the search's order.

    Of a run that was confirmed in two ways, those that were asked for last.
    """
    metric = search.space.metric
    train_on = confirmation.study.user_attrs.get(Attribute.TRAIN_ON)
    members: dict[int, dict[int, Member]] = defaultdict(dict)  # by finalist and seed
    ended = {
        record.number
        for record in confirmation.records()
        if record.status is TrialStatus.COMPLETE and not record.cut_off
    }
    for trial in confirmation.study.get_trials(deepcopy=False):
        is_asked = trial.user_attrs.get(Attribute.TRAIN_ON) == train_on
        if is_asked and trial.number in ended and Attribute.HELD_OUT in trial.user_attrs:
            number, seed = (int(trial.user_attrs[a]) for a in (Attribute.FINALIST, Attribute.SEED))
            score = trial.user_attrs[Attribute.HELD_OUT][metric.name.removeprefix("val_")]
            file = folder.finalist_model(number, seed)
            if file.is_file():  # else `tuner confirm` trains it again
                members[number][seed] = Member(seed, file, score)
    sign = -1.0 if metric.mode is Mode.MAX else 1.0
    records = {record.number: record for record in search.records()}
    finalists = [
        _finalist(
            records[number],
            sorted(of_one.values(), key=lambda member: (sign * member.score, member.seed)),
            dataset if metric.name is MetricName.VAL_ACCURACY else None,
        )
        for number, of_one in members.items()
    ]
    return sorted(finalists, key=lambda each: (sign * each.spread.mean, each.record.number))


def _finalist(record: TrialRecord, members: Sequence[Member], dataset: Dataset | None) -> Finalist:
    if dataset is None:
        spread = spread_of_values([member.score for member in members])
        return Finalist(record, tuple(members), spread, None)
    labels = dataset.splits[Split.CONFIRMATION].labels
    hits = np.stack([member.model.probabilities.argmax(axis=1) == labels for member in members])
    return Finalist(record, tuple(members), spread_of_hits(hits), hits)


def finalists_frame(finalists: Sequence[Finalist], space: SearchSpace) -> pd.DataFrame:
    """The rows of `finalists.csv`, best first."""
    names = space.parameter_names
    rows = [
        {
            "rank": rank,
            "trial": each.record.number,
            "architecture": each.record.architecture,
            "seeds": len(each.members),
            "mean": round(each.spread.mean, 6),
            "deviation": None if each.spread.deviation is None else round(each.spread.deviation, 6),
            "low": round(each.spread.low, 6),
            "high": round(each.spread.high, 6),
            "search_score": each.record.score,
            "optimism": round(optimism(each, space), 6),
            "tie_with_best": rank > 1 and each.ties_with(finalists[0]),
            **{name: each.record.parameters.get(name) for name in names},
        }
        for rank, each in enumerate(finalists, start=1)
    ]
    columns = [
        *("rank", "trial", "architecture", "seeds", "mean", "deviation", "low", "high"),
        *("search_score", "optimism", "tie_with_best", *names),
    ]
    return pd.DataFrame(rows, columns=columns).convert_dtypes()


def optimism(finalist: Finalist, space: SearchSpace) -> float:
    """How much better the search's score looked than what fresh seeds reach on fresh sequences."""
    assert finalist.record.score is not None
    gap = finalist.record.score - finalist.spread.mean
    return gap if space.metric.mode is Mode.MAX else -gap


class FinalistFiles(RunFiles):
    """`finalists.csv`, in step with a confirmation."""

    def __init__(
        self,
        folder: RunFolder,
        confirmation: StudyReader,
        dataset: Dataset,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._folder = folder
        self._confirmation = confirmation
        self._dataset = dataset

    def _write(self) -> None:
        search = StudyReader(load_study(self._folder.journal))
        finalists = ranked_finalists(search, self._confirmation, self._folder, self._dataset)
        write_csv(finalists_frame(finalists, search.space), self._folder.finalists)
