"""Stand-ins for engines that cannot run here, each under the engine's own import name with this folder on the path."""
