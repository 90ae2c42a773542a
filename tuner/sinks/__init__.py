"""Copies of the study where else people look: TensorBoard's event files, an MLflow server or file.

A sink is a reading of the study like the leaderboard, brought up to date in a thread of its own: it may be slow or
fail without the search noticing, and what it misses it is given later, by the same command if need be. Must not import
Ray or Keras.
"""
