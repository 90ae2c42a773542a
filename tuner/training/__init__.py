"""One configuration trained: the model, the trial that trains it epoch by epoch, and one row of a leaderboard again.

Must not import `search`, `tracking`, `execution` or any room above them, nor Ray or Optuna.
"""
