"""Which script is run: only files whose hash was known before they were fetched."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from pytest_speedbench.errors import SplitError
from pytest_speedbench.preparation import driver
from pytest_speedbench.preparation.script import ENTRY, FILES, MODULE, PINNED_REVISION, Script, bundle_hash
from tests.hub_stand_in import HubStandIn
from tests.unit.preparation.stand_in_script import REVISION, files, hash_of, script


def test_files_of_a_url_are_checked_and_then_kept(hub: HubStandIn, tmp_path: Path) -> None:
    contents = files()
    hub.raw = {f"script/{name}": content for name, content in contents.items()}
    asked = Script(REVISION, hash_of(contents), f"{hub.url}/raw/script/")
    folder, sha256 = asked.open(tmp_path / "kept")
    assert sha256 == hash_of(contents)
    assert {name: (folder / name).read_bytes() for name in FILES} == contents
    hub.asked.clear()
    assert asked.open(tmp_path / "kept") == (folder, sha256)
    assert hub.asked == []


def test_a_kept_file_that_changed_is_fetched_again(tmp_path: Path) -> None:
    asked = script(tmp_path / "source")
    folder, _ = asked.open(tmp_path / "kept")
    (folder / "prepare_data.py").write_text("print('something else')")
    assert asked.open(tmp_path / "kept")[0] == folder
    assert (folder / "prepare_data.py").read_bytes() == files()["prepare_data.py"]


def test_another_file_at_the_pinned_revision_is_refused_by_name(hub: HubStandIn, tmp_path: Path) -> None:
    contents = files()
    hub.raw = {f"script/{name}": content for name, content in contents.items()}
    found = hashlib.sha256(contents["prepare_data.py"]).hexdigest()
    with pytest.raises(SplitError, match=rf"/prepare_data\.py is not the file.*is {found}, expected ee3d5218.*not run"):
        Script(source=f"{hub.url}/raw/script").open(tmp_path / "kept")
    assert not list(tmp_path.glob("kept/*"))


def test_another_revision_needs_a_hash_and_is_told_it(tmp_path: Path) -> None:
    known = script(tmp_path / "source")
    with pytest.raises(SplitError, match=rf"never been reviewed.*not run.*--script-sha256={known.sha256}"):
        Script(REVISION, None, known.source).open(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_another_revision_is_held_to_its_hash(tmp_path: Path) -> None:
    known = script(tmp_path / "source")
    (tmp_path / "source" / "specdec_bench" / "__init__.py").write_text("import os")
    with pytest.raises(SplitError, match=f"is not the one expected.*expected {known.sha256}. It was not run"):
        known.open(tmp_path / "kept")


@pytest.mark.parametrize("sha256", ["abc", "0" * 64])
def test_a_hash_cannot_be_given_for_the_pinned_revision_but_its_own(tmp_path: Path, sha256: str) -> None:
    with pytest.raises(SplitError, match=f"'{sha256}' is not the sha256 of the script at revision {PINNED_REVISION}"):
        Script(sha256=sha256).open(tmp_path)


def test_what_cannot_be_had_is_named(hub: HubStandIn, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"/raw/nowhere/prepare_data\.py.*HTTP status 404.*--source=FOLDER"):
        Script(source=f"{hub.url}/raw/nowhere").open(tmp_path)
    with pytest.raises(SplitError, match=r"127\.0\.0\.1:9/.*Connection refused"):
        Script(source="http://127.0.0.1:9").open(tmp_path)
    with pytest.raises(SplitError, match="No such file or directory"):
        Script(source=str(tmp_path / "none")).open(tmp_path)
    hub.raw["big/prepare_data.py"] = bytes(2 << 20)
    with pytest.raises(SplitError, match="larger than any file"):
        Script(source=f"{hub.url}/raw/big").open(tmp_path)


def test_the_bundles_hash_can_be_had_with_common_tools(tmp_path: Path) -> None:
    known = script(tmp_path)
    command = f"sha256sum {' '.join(sorted(FILES))} | sha256sum"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=tmp_path,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[0] == known.sha256


def test_the_driver_runs_the_files_that_are_checked() -> None:
    assert (driver.ENTRY, driver.MODULE) == (ENTRY, MODULE)
    assert ENTRY in FILES
    assert f"{MODULE.replace('.', '/')}.py" in FILES
    assert bundle_hash(dict.fromkeys(FILES, "")) != bundle_hash(dict.fromkeys(FILES[1:], ""))
