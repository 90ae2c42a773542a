"""One configuration, trained without a search: a row of a leaderboard again, or parameters."""
