"""Checks whether a search can run well on this machine, with a command for each problem.

Each check is a function of its findings, so that all of them can be tested anywhere; only `examine` reads the machine.
Uses no network. Must not import Ray, Keras or TensorFlow, nor rooms that do: a broken package is a finding.
"""

from tuner.doctor.check import Check, Status
from tuner.doctor.examination import examine

__all__ = ["Check", "Status", "examine"]
