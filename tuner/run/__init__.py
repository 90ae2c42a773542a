"""A run as it lies on disk: its folder, its study and what follows from them. Must not import Ray or Keras."""
