"""``speedbench prepare``, from the command line to the files, with a hub and a script in the place of the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_speedbench.cli import main
from tests.hub_stand_in import HubStandIn, add_speed_bench, point_to, serving
from tests.unit.preparation.stand_in_script import files, hash_of, script


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving(HubStandIn()) as standin:
        point_to(standin.url, tmp_path / "home", monkeypatch)
        add_speed_bench(standin, "qualitative", "throughput_1k", placeholders=2)
        yield standin


def options(tmp_path: Path, here: str = "pass") -> list[str]:
    known = script(tmp_path / "script", here)
    return [
        f"--source={known.source}",
        f"--script-revision={known.revision}",
        f"--script-sha256={known.sha256}",
        f"--python={sys.executable}",
    ]


@pytest.mark.usefixtures("hub")
def test_several_configs_are_prepared_and_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = ["prepare", "qualitative", "throughput_1k", *options(tmp_path)]
    assert main(asked) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == ["data/speed/qualitative/test.parquet", "data/speed/throughput_1k/test.parquet"]
    assert all(Path(line).is_file() for line in out.splitlines())
    assert "never redistribute them" in err
    assert "Preparing qualitative\n" in err, "the script's own output is shown"
    assert "throughput_1k: prepared and verified, 1536 rows, content sha256 " in err
    assert main(asked) == 0
    again = capfd.readouterr()
    assert again.out == out
    assert "qualitative: already prepared; verified again, 880 rows" in again.err
    assert "Preparing" not in again.err


@pytest.mark.usefixtures("hub")
def test_all_stands_for_every_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stand-in has only two of the six: the third is missed by name, and the first two stay."""
    assert main(["prepare", "all", *options(tmp_path)]) == 4
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "EntryNotFoundError" in err
    assert "loading nvidia/SPEED-Bench/throughput_2k@" in err


def test_a_script_from_a_url_is_checked_before_it_runs(hub: HubStandIn, capfd: pytest.CaptureFixture[str]) -> None:
    contents = files("Path('ran').touch()")
    hub.raw = {f"script/{name}": content for name, content in contents.items()}
    asked = ["prepare", "qualitative", f"--source={hub.url}/raw/script", f"--python={sys.executable}"]
    assert main(asked) == 4
    assert "prepare_data.py is not the file that was reviewed" in capfd.readouterr().err
    assert main([*asked, "--script-revision=main"]) == 4
    assert f"--script-sha256={hash_of(contents)}." in capfd.readouterr().err
    assert not Path("ran").exists()
    assert main([*asked, "--script-revision=main", f"--script-sha256={hash_of(contents)}"]) == 0
    assert Path("ran").exists()


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["qualitativ"], "no config 'qualitativ'. Did you mean 'qualitative'?"),
        (["qualitative", "throughput_1k", "--expect-sha256=0"], "--expect-sha256 is the hash of one config"),
        (["qualitative", "--revision=v9"], "has no revision 'v9'"),
        (["qualitative", "--out=file/below"], "file/below cannot be written: Not a directory"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("file").touch()
    assert main(["prepare", *arguments, *options(tmp_path)]) == 4
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A session in the background may ignore interrupts, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hub", "_interruptible")
@pytest.mark.parametrize("whom", ["the command", "its group, as a terminal does"])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, whom: str) -> None:
    waiting = f"import os, time; Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} '); time.sleep(60)"
    command = [sys.executable, "-m", "pytest_speedbench.cli", "prepare", "qualitative", *options(tmp_path, waiting)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" ")):
            assert process.poll() is None
            time.sleep(0.05)
        assert list(Path("data/speed").glob(".qualitative-*"))
        (os.kill if whom == "the command" else os.killpg)(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err.endswith("speedbench: interrupted\n")
    assert "Traceback" not in err
    assert not list(Path("data/speed").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
