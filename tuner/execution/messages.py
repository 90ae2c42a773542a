"""What the driver and a worker send each other about a trial, in the form in which Ray Tune carries it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ray import tune

from tuner.execution.faulty_nodes import label_selector
from tuner.execution.packing import Place
from tuner.execution.shares import Share
from tuner.run.epoch_parts import EpochPart
from tuner.run.trial_status import TrialFacts, TrialStatus
from tuner.settings.hyperparameters import Hyperparameters
from tuner.training.spec import EpochResult, TrialSpec


def to_ray_config(
    spec: TrialSpec,
    place: Place,
    model_from: float | None = None,
    avoided: Sequence[str] = (),
    progress_every_s: float = math.inf,
) -> dict[str, Any]:
    """A trial's spec and place as Tune carries them, with nothing that Tune would expand or name trials after.

    Args:
        model_from: the score from which on its model is wanted; None: whatever its score.
        avoided: nodes that it must not run on, by Ray's ids.
        progress_every_s: seconds after which it reports how far a long epoch is.
    """
    content = {**asdict(spec), "hyperparameters": spec.hyperparameters.model_dump(mode="json")}
    return {
        "number": spec.number,
        "spec": json.dumps(content),
        "share": json.dumps(asdict(place.share)),
        "resources": json.dumps(dict(place.resources)),
        "model_from": model_from,
        "avoided": json.dumps(list(avoided)),
        "progress_every_s": progress_every_s,
    }


def avoided_by(config: dict[str, Any]) -> list[str]:
    """The nodes that a trial must not run on, by its config."""
    avoided: list[str] = json.loads(config["avoided"])
    return avoided


def resources_of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """The resources that a trial asks Ray for, by its config."""
    selector = label_selector(avoided_by(config))
    labels = {"bundle_label_selector": [selector]} if selector else {}
    return tune.PlacementGroupFactory([requested_by(config)], **labels)


def requested_by(config: dict[str, Any]) -> dict[str, float]:
    """The amounts of resources that a trial asks Ray for, by its config."""
    requested: dict[str, float] = json.loads(config["resources"])
    return requested


def could_use(config: dict[str, Any], freed: dict[str, Any], node: str) -> bool:
    """Whether a trial that must not run on some nodes could have the place of another one, in a process of its own.

    Args:
        config: its own.
        freed: that of the trial which had the place.
        node: where that ran; "" where it is not known.
    """
    avoided = avoided_by(config)
    is_elsewhere = bool(avoided) and bool(node) and node not in avoided
    has = requested_by(freed)
    is_enough = all(has.get(name, 0.0) >= wanted for name, wanted in requested_by(config).items())
    return is_elsewhere and is_enough and resources_of(config) != resources_of(freed)


def share_of(config: dict[str, Any]) -> Share:
    """A trial's share of a GPU, by its config."""
    return Share(**json.loads(config["share"]))


def from_ray_config(config: dict[str, Any]) -> TrialSpec:
    """The inverse of `to_ray_config`."""
    content = json.loads(config["spec"])
    hyperparameters = Hyperparameters.model_validate(content.pop("hyperparameters"))
    return TrialSpec(hyperparameters=hyperparameters, **content)


@dataclass(frozen=True)
class Report:
    """A worker's report of its trial: after each epoch, and every few seconds inside a long one."""

    epoch: EpochResult | None = None
    part: EpochPart | None = None  # of an epoch that has not ended; then there is nothing else
    facts: TrialFacts | None = None  # with the first epoch
    versions: dict[str, str] | None = None  # with the facts of its process' first trial
    status: TrialStatus | None = None  # with the last one
    error: str | None = None
    is_gpu_full: bool = False  # the error is that the GPU's memory ran out
    is_suspect: bool = False  # the error may be the process' or its node's: it came before the first epoch had ended
    node: str = ""  # Ray's id of it, with the first epoch and with an error
    # Of the best epoch, where models are kept: with the last one, and with others after which the trial may be stopped;
    # see `tuner.training.trained_model_file`.
    model: bytes | None = None
    retire: bool = False  # the process must train no other trial after this one
    note: str | None = None  # for the person
    trouble: tuple[str, str] | None = (
        None  # something that may fail, and why it did; "" where it works
    )

    def to_result(self) -> dict[str, Any]:
        """The report as Tune carries it: one string, because Tune flattens and renames nested values."""
        content = asdict(replace(self, model=None))
        return {
            "report": json.dumps(content),
            "done": self.status is not None,
            **({"model": self.model} if self.model is not None else {}),
        }

    @classmethod
    def from_result(cls, result: dict[str, Any]) -> "Report":
        """The inverse of `to_result`."""
        content = json.loads(result["report"])
        return cls(
            epoch=EpochResult(**content["epoch"]) if content["epoch"] else None,
            part=EpochPart(**content["part"]) if content["part"] else None,
            facts=TrialFacts(**content["facts"]) if content["facts"] else None,
            versions=content["versions"],
            status=TrialStatus(content["status"]) if content["status"] else None,
            error=content["error"],
            is_gpu_full=content["is_gpu_full"],
            is_suspect=content["is_suspect"],
            node=content["node"],
            model=result.get("model"),
            retire=content["retire"],
            note=content["note"],
            trouble=tuple(content["trouble"]) if content["trouble"] else None,
        )
