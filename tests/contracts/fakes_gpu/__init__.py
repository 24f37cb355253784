"""A stand-in for torch, for processes that only ask it for a GPU's name."""
