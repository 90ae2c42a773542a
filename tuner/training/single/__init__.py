"""`tuner train`: one configuration trained without a search, given as a row of a leaderboard or as parameters."""
