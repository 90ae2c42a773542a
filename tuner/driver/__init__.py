"""Runs searches and confirmations: Optuna decides, Ray Tune executes. Only here is Ray imported, and in `tuner.remote`.

`tuner.driver.search.run_search` is the way in, for confirmations `tuner.finalists.confirmation`. Nothing is imported
here: a worker needs `trainable` alone, and pays for every import.
"""
