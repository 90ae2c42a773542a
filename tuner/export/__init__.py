"""The model that one keeps: written with its card, loaded again, and used to predict.

Must not import `cli`, `terminal`, `finalists`, `report`, `execution`, Ray or Optuna.
"""
