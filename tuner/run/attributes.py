"""The names of the user attributes that tuner adds to a study and to its trials: part of the journal's format.

A name never changes, whatever the Python name becomes, because journals of earlier versions have it.
"""

from enum import StrEnum


class Attribute(StrEnum):
    """A name, with the thing that has such an attribute."""

    SPACE = "space"  # a study: the space as plain data
    NARROWER = "narrower"  # a study: how many of its first trials were drawn from narrower spaces
    SECONDS = "seconds"  # a study: seconds searched so far, over all sessions
    GPU_MEMORY = "gpu_memory"  # a study: what the largest models took of each kind of GPU
    VALIDATION_ROWS = "validation_rows"  # a study: how many rows score its trials
    VALIDATION_CLUSTERS = "validation_clusters"  # a study: how many clusters these form, if fewer
    VALIDATION_PARTS = (
        "validation_parts"  # a study: how many parts of the rows score its trials by turns, if so
    )
    ENSEMBLE = "ensemble"  # a study: its best trials averaged, see `tuner.run.ensemble`
    REFERENCE = "reference"  # a study: the linear reference, see `tuner.run.reference_record`
    BASELINE = "baseline"  # a trial: it runs because the space names it
    STARTER = "starter"  # a trial: the trial of an earlier run whose configuration it has
    STATUS = "status"  # a trial: its TrialStatus, if Optuna has no state for it
    ERROR = "error"  # a trial: the reason why it failed or was stopped
    FACTS = "facts"  # a trial: seed, host, device, weights
    EPOCH = "epoch:"  # a trial, with the number of the epoch behind the colon: the epoch's metrics
    INTERRUPTED = "cut_off"  # a trial: something else ended it before its result, so it runs again
    RETRY_OF = "retry_of"  # a trial: the interrupted trial whose parameters it runs again
    PASSED = "passed"  # a trial that runs again: the last epoch after which its first try was not stopped
    DEATHS = "deaths"  # a trial: how often the process of these parameters died before it
    FAILED_ON = "failed_on"  # a trial that runs again: the nodes, by Ray's ids, that its earlier tries failed on
    # A trial: it ran out of memory while it shared a GPU, how the person had asked for GPUs and how often the packing
    # had been lowered by then. It runs again with a larger share.
    RAN_OUT = "ran_out"
    LARGER_SHARE = "larger_share"  # a trial that runs again: with twice the share of a GPU
    # In the study of a confirmation:
    FINALIST = "finalist"  # a trial: the search's trial that has the same parameters
    SEED = "seed"  # a trial: its seed; those of the search's trials follow from their numbers
    STOP_AFTER = "stop_after"  # a trial: its number of epochs, if that is decided beforehand
    TRAIN_ON = "train_on"  # a trial: the splits that it learns from
    HELD_OUT = "held_out"  # a trial: figures on the confirmation split
    REQUESTS = "requests"  # the study: the requested trainings, the latest request last
    MARGIN = "margin"  # the study: how much worse than the best finalist is as good as it, if not the default


# A trial that runs again takes these over from its first try, besides the parameters.
OF_EVERY_TRY = (
    Attribute.STARTER,
    Attribute.FINALIST,
    Attribute.SEED,
    Attribute.STOP_AFTER,
    Attribute.TRAIN_ON,
)
