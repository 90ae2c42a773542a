"""The space and data of both systems of `between_trials.py`, and the moments that their trials record."""

DATA = "rotten-tomatoes"
SAMPLE = 300  # sentences, before they are split
VOCABULARY_SIZE = 2000
LENGTH = 50  # tokens
EPOCHS = 2

LEARNING_RATES = [5.0e-4, 5.0e-3]
BATCH_SIZES = [16, 32]
UNITS = [8, 16]

LOG = "BETWEEN_TRIALS_LOG"  # the environment variable that names the log's file
BUILD, STEP, EVALUATED = "build", "step", "evaluated"
