"""Settings of all tests."""

from hypothesis import settings

# A shared machine makes single examples slow now and then; that is no bug.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
