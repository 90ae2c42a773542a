"""The figures of a report, one module per figure, listed in `tuner.report.figure_list`. Optuna draws some of them.

By Optuna: history, importance and parallel coordinates, on the studies of `tuner.report.optuna_studies`. Our own:
learning curves (Optuna draws one trace per trial, does not distinguish pruned trials and cannot colour by
architecture), slices (Optuna's know neither architectures nor the space's ranges), costs (Optuna's Pareto figure
colours by trial number and needs a study with these objectives), and the timeline (Optuna's has one row per trial, not
per device).
"""
