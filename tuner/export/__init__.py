"""The model that one keeps: written with its card, loaded again, and used to predict."""
