"""Reports on runs: one HTML page, Markdown, or figures as files.

`reading` reads a run once; `summary` and `tables` put it into words; `sections` lists the figures, which `figures/`
draws; `page`, `markdown` and `images` write them. Reads run folders and nothing else: must not import Ray, Keras or
TensorFlow, nor the code of execution and finalists. Nothing is imported here, because `tuner --help` passes through.
"""
