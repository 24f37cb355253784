"""Who answers: the engine protocol, the adapters, and what a model reference means."""
