#!/usr/bin/env bash
# pytest-xdist 3.8.0 with pytest 9.2.0: --dist=loadgroup groups nothing.
#
# Tests of one xdist_group are to run in one worker. xdist's worker adds the group to the test's id by setting the private
# attribute _nodeid; pytest 9.2 no longer derives the id from it, so the scheduler never sees a group, and says nothing.
# Whoever keeps one engine, one accelerator or one timing to a worker by that mark shares it with others.
#
# Seen: the four tests of one group ran in gw0 and gw1. Fails once they run in one worker, as documented.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-xdist==3.8.0
cat > "$work/test_grouped.py" <<'PY'
import pathlib
import time

import pytest


@pytest.mark.xdist_group("one engine")
@pytest.mark.parametrize("number", range(4))
def test_one_worker(number, worker_id):
    time.sleep(0.3)
    with pathlib.Path("workers").open("a") as seen:
        seen.write(worker_id + "\n")
PY
(cd "$work" && "$work/env/bin/python" -m pytest -q -n2 --dist=loadgroup -p no:cacheprovider test_grouped.py >/dev/null)
workers=$(sort -u "$work/workers" | paste -sd' ')
echo "pytest 9.2.0, pytest-xdist 3.8.0: one group ran in: $workers"
[ "$workers" = "gw0 gw1" ] || { echo "this has changed"; exit 1; }
