"""One configuration trained: the model, the trial that trains it epoch by epoch, and one row of a leaderboard again.

Knows no Ray and no Optuna.
"""
