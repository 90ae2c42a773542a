"""Copies of every trial for other tools: TensorBoard and MLflow."""
