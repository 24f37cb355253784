"""Engines in a process of their own, so that what they import, print and leave behind stays out of the tests' process.

The process may run another interpreter: an engine whose packages contradict those of the tests lives in an environment
of its own. :mod:`.client` is this side, :mod:`.host` the other, :mod:`.messages` what they say to each other.
"""
