"""One configuration trained without a search: a leaderboard row once more, or parameters.

Trains in this process, without Ray, with the seed and the threads that a search's worker has, so that a row's figures
come out again.
"""
