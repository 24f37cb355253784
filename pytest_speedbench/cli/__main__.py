"""``python -m pytest_speedbench.cli``."""

from __future__ import annotations

import sys

from pytest_speedbench.cli import main

if __name__ == "__main__":
    sys.exit(main())
