"""Runs a search: Optuna decides, Ray Tune executes. The only package that imports Ray.

`tuner.driver.search.run_search` is the way in. Nothing is imported here: a worker needs `trainable` alone, and pays
for every import.
"""
