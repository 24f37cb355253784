"""How people are told: one module per audience, all fed by the same entries."""
