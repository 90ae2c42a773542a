"""What a person asks for: spaces, hyperparameters and the settings of a search, checked once at the edge.

Must not import Ray, Keras or Optuna.
"""
