"""What a run came to, for people: one HTML page, Markdown, or figures as files.

Reads run folders and nothing else; knows neither the driver nor the finalists' code. Must not import Ray, Keras or
TensorFlow. Nothing is imported here: `tuner --help` passes by.
"""
