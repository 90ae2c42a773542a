"""Decides which configuration is tried next, which trial stops, and which one runs again. Writes the study.

Must not import `execution`, `tracking` or any room above them, nor Ray or Keras.
"""
