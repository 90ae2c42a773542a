"""One system of `between_trials.py`: a search by tuner.

Called as `python between_trials_tuner.py FOLDER TRIALS`, in a process of its own.
"""

import sys

from between_trials_space import (
    BATCH_SIZES,
    DATA,
    EPOCHS,
    LEARNING_RATES,
    LENGTH,
    SAMPLE,
    UNITS,
    VOCABULARY_SIZE,
)

import tuner

SPACE = {
    "name": "between-trials",
    "max_epochs": EPOCHS,
    "shared": {
        "learning_rate": {"float": LEARNING_RATES, "log": True},
        "batch_size": {"choice": BATCH_SIZES},
        "vocabulary_size": VOCABULARY_SIZE,
        "max_length": LENGTH,
    },
    "architectures": {"between_trials_model:build": {"units": {"int": UNITS}}},
}


def main() -> None:
    folder, trials = sys.argv[1], int(sys.argv[2])
    tuner.search(
        SPACE,
        data=DATA,
        sample=SAMPLE,
        out=folder,
        trials=trials,
        max_concurrent=1,
        progress=False,
    )


if __name__ == "__main__":
    main()
