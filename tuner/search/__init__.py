"""Decides which configuration is tried next and which trial stops. Knows Optuna, not Ray and not Keras."""
