"""The figures of a report, one module per figure, listed in `tuner.report.figure_list`. Optuna draws some of them.

By Optuna: history, importance and parallel coordinates, on the studies of `tuner.report.optuna_studies`. Our own,
with the reasons against Optuna's:

- learning curves: one trace per trial, pruned trials not distinguished, no colours by architecture;
- slices: neither architectures nor the space's ranges are known;
- costs: colours by trial number, and only for a study with these objectives;
- timeline: one row per trial, not per device.
"""
