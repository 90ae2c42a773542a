"""Executes with Ray Tune the trials that `search` decides on, here or on a cluster. The only room that imports Ray.

Must not import `cli`, `terminal`, `finalists`, `export`, `report` or Keras.
"""
