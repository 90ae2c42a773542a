"""Text and tables on a terminal: live table, leaderboards, results. No control character of users' data reaches it."""
