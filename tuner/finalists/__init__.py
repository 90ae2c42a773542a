"""From the leaderboard to a model one can trust: the best trials again with fresh seeds, tested once, exported.

Trains through `tuner.execution`, on the same workers as the search. Must not import `cli` or `terminal`, nor Ray or
Keras: `execution` and `export` do.
"""
