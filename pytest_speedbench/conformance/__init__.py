"""The suite that holds every engine adapter to the same promise.

``pytest --pyargs pytest_speedbench.conformance --speedbench-engine=… --speedbench-model=… --speedbench-drafter=…``

What is checked are plain functions over an :class:`~pytest_speedbench.engines.base.Engine` (:mod:`.promises`), each of
which returns what it found; pytest only asks for them one by one and prints the page at the end.
"""
