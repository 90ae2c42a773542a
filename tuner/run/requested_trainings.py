"""The trainings that a confirmation requests, as its study records them: the one reader and writer of this format.

A live table names a confirmation's trials by it, so it belongs to the run. Must not import Ray, Keras or Optuna.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.run.attributes import Attribute
from tuner.run.study_records import damaged
from tuner.run.train_on import TrainOn
from tuner.settings.config import SearchConfig
from tuner.text import one_line

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MARGIN = 0.005  # half a point of accuracy: what a smaller model may cost


@dataclass(frozen=True)
class RequestedTraining:
    """One trial of the search, to be trained again in one way with one seed."""

    trial: int  # of the search
    seed: int
    stop_after: int | None  # epochs, where their number is fixed beforehand
    train_on: TrainOn

    @property
    def attributes(self) -> dict[str, object]:
        """The training as attributes of a trial in the confirmation's study."""
        return {
            str(Attribute.FINALIST): self.trial,
            str(Attribute.SEED): self.seed,
            str(Attribute.STOP_AFTER): self.stop_after,
            str(Attribute.TRAIN_ON): str(self.train_on),
        }


def training_of(trial: "FrozenTrial") -> RequestedTraining | None:
    """The training of a trial of the confirmation's study; None where its attributes name none."""
    attributes = trial.user_attrs
    try:
        return RequestedTraining(
            trial=int(attributes[Attribute.FINALIST]),
            seed=int(attributes[Attribute.SEED]),
            stop_after=attributes.get(Attribute.STOP_AFTER),
            train_on=TrainOn(attributes[Attribute.TRAIN_ON]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def record_request(study: "Study", trainings: Iterable[RequestedTraining]) -> None:
    """Records these trainings as the last request."""
    request = [_listed(each) for each in trainings]
    earlier = list(study.user_attrs.get(Attribute.REQUESTS, []))
    if not earlier or earlier[-1] != request:
        study.set_user_attr(Attribute.REQUESTS, [*earlier, request])


def record_margin(study: "Study", margin: float) -> None:
    """Records by how much a finalist may be worse than the best one and still be as good."""
    if margin != margin_of(study):
        study.set_user_attr(Attribute.MARGIN, margin)


def margin_of(study: "Study") -> float:
    """The margin that was recorded last; the default where none was, or no number."""
    margin = study.user_attrs.get(Attribute.MARGIN, MARGIN)
    return float(margin) if isinstance(margin, int | float) else MARGIN


def requests(study: "Study") -> list[list[RequestedTraining]]:
    """The requests so far, the latest one last.

    Raises:
        RunFolderError: the study is damaged.
    """
    given = study.user_attrs.get(Attribute.REQUESTS, [])
    try:
        return [
            [
                RequestedTraining(int(finalist), int(seed), epochs, TrainOn(way))
                for finalist, seed, epochs, way in request
            ]
            for request in given
        ]
    except (TypeError, ValueError) as cause:
        raise damaged(
            f"{Attribute.REQUESTS} must be lists of trainings, got {one_line(repr(given))[:80]}"
        ) from cause


def last_request(study: "Study") -> list[RequestedTraining]:
    """The trainings of the last request, whether they have ended or not; none before any."""
    return (requests(study) or [[]])[-1]


def with_budget(config: SearchConfig, trainings: int) -> SearchConfig:
    """The settings of a confirmation, which ends after all its trainings, however long they take."""
    return config.model_copy(update={"trials": max(1, trainings), "time_budget": None})


def _listed(training: RequestedTraining) -> list[object]:
    return [training.trial, training.seed, training.stop_after, str(training.train_on)]
