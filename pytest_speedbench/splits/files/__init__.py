"""File formats of splits: each gives rows, whose meaning is the same for all."""
