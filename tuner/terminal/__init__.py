"""Text and tables on a terminal: live table, leaderboards, results. No control character of users' data reaches it.

Must not import `cli`, nor Ray, Keras or TensorFlow: `tuner leaderboard` and `tuner watch` start at once.
"""
