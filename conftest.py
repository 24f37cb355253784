"""Test-suite configuration."""

pytest_plugins = ["pytester"]
