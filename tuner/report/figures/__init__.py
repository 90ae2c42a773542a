"""The figures of a report, a module a figure: what is drawn, and why not by Optuna where Optuna draws the like.

From Optuna: the history, importances and parallel coordinates, on the studies of `tuner.report.optuna_studies`. Own:
learning curves (Optuna's have one trace a trial, do not tell pruned ones apart and take no architecture's colour),
slices (Optuna's know neither architectures nor the space's ranges), costs (Optuna's Pareto figure colours by trial
number, and wants a study of these objectives), and the timeline (Optuna's has a row a trial, not a row a device).
"""
