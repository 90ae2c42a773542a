"""Copies of every trial for other tools: TensorBoard and MLflow.

Must not import `execution`, `search` or any room above them, nor Ray or Keras; MLflow and tensorboardX only where used.
"""
