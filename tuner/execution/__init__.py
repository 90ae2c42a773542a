"""Executes: Ray Tune runs the trials that the study asks for, here or on a cluster. Only here is Ray imported."""
