"""What a study remembers of trials that share GPUs: how much memory they need there, and which ran out of it.

A resumed search packs its trials by it as if it had never stopped. Must not import Ray or Keras.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from tuner.run.attributes import Attribute

_TIMES_NEEDED = 2  # once may be one large model, twice is a packing that is too tight


def measured_memory(study: optuna.Study) -> Mapping[str, Any]:
    """What the largest models took of each kind of GPU, as it was recorded; empty where nothing was."""
    recorded: Mapping[str, Any] = study.user_attrs.get(Attribute.GPU_MEMORY, {})
    return recorded


def record_memory(study: optuna.Study, content: Mapping[str, Any]) -> None:
    """Records what was measured, unless it is there already."""
    if content != measured_memory(study):
        study.set_user_attr(Attribute.GPU_MEMORY, dict(content))


def times_to_lower(studies: Iterable[optuna.Study], asked: object) -> int:
    """How often a packing was lowered by now: two trials that needed a larger share lower it once.

    Args:
        asked: the GPUs per trial that the person asks for; what happened with others does not count.
    """
    counts = sum((_larger_shares_needed(study, asked) for study in studies), Counter[int]())
    lowered = 0
    while counts[lowered] >= _TIMES_NEEDED:
        lowered += 1
    return lowered


def is_too_tight(study: optuna.Study, asked: object, lowered: int) -> bool:
    """Whether a packing that was lowered so often has to be lowered once more."""
    return _larger_shares_needed(study, asked)[lowered] >= _TIMES_NEEDED


def _larger_shares_needed(study: optuna.Study, asked: object) -> Counter[int]:
    """Trials that found room only with a larger share, by how often the packing had been lowered.

    Those that found none with it either are too large for the GPU, whoever shares it.
    """
    trials = study.get_trials(deepcopy=False)
    larger = (t for t in trials if t.user_attrs.get(Attribute.LARGER_SHARE) and _has_worked(t))
    notes = (_note_of_first_try(trials, trial) for trial in larger)
    return Counter(note["lowered"] for note in notes if note["asked"] == asked)


def _has_worked(trial: FrozenTrial) -> bool:
    is_over = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return is_over and Attribute.STATUS not in trial.user_attrs  # such as out of memory


def _note_of_first_try(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> Mapping[str, Any]:
    while Attribute.RAN_OUT not in trial.user_attrs:
        trial = trials[trial.user_attrs[Attribute.RETRY_OF]]
    note: Mapping[str, Any] = trial.user_attrs[Attribute.RAN_OUT]
    return note


def needs_larger_share(trial: FrozenTrial | optuna.Trial) -> bool:
    """Whether the trial, or its earlier try, ran out of memory while it shared a GPU."""
    attributes = trial.user_attrs
    return Attribute.RAN_OUT in attributes or bool(attributes.get(Attribute.LARGER_SHARE, False))
