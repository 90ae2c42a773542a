"""Spaces, hyperparameters and the settings of a search, checked once where they come in.

Must not import any other room, nor Ray, Keras or Optuna.
"""
