"""The Python calls that do what the commands of the same names do, and what loads their models.

Importing them loads nothing heavy.
"""
