#!/bin/sh
# Makes an environment with SGLang 0.5.23 that speculates on a processor (about 6 GB and 3 minutes), runs the tests
# against it, and writes what the drafters did to benchmarks/results/sglang_cpu.json.
#
#     tests/real/sglang/run.sh FOLDER        # from the repository's root, in the development environment
set -eu
here=tests/real/sglang
python=$1/bin/python
if [ ! -x "$python" ]; then
    python3.11 -m venv "$1"
    "$python" -m pip install -q -r $here/requirements.txt
    # Its own requirements are those of a GPU.
    "$python" -m pip install -q --no-deps sglang==0.5.23
    "$python" -m pip install -q --no-deps -e . ./$here/cpu_plugin
fi
export TEST_SGLANG_PYTHON=$python TEST_SGLANG_RESULT=benchmarks/results/sglang_cpu.json
python -m pytest $here tests/real/test_conformance_sglang.py
