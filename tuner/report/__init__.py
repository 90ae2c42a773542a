"""Reports on runs: one HTML page, Markdown, or figures as files.

`reading` reads a run once; `summary` and `tables` put it into words; `figure_list` lists the figures, which `figures/`
draws; `page`, `markdown` and `images` write them. Reads run folders and nothing else. Must not import `cli`,
`terminal`, `finalists`, `export`, `execution`, Ray, Keras or TensorFlow. Nothing is imported here, because
`tuner --help` passes through.
"""
