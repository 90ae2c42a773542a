"""Executes with Ray Tune the trials that the study asks for, here or on a cluster. The only room that imports Ray."""
