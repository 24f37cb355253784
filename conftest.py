"""Test-suite configuration."""

from hypothesis import settings

pytest_plugins = ["pytester"]

# A shared machine makes single examples slow now and then; that is no bug.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
