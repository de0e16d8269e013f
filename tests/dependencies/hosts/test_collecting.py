import io
import os
import sys
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.core.facts import Setting
from garrison.dependencies.hosts.collecting import record
from tests.dependencies.host_samples import DEBIAN
from tests.support import facts_of


def recorded(root: str, **more: object) -> bytes:
    file = io.BytesIO()
    record(file, root, **more)  # type: ignore[arg-type]
    return file.getvalue()


def test_a_root_is_read_without_leaving_it(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "usr/lib/os-release").write_text(DEBIAN)
    (tmp_path / "etc/os-release").symlink_to("/usr/lib/os-release")
    outside = tmp_path.parent / "outside-secret"
    outside.write_text("stolen")
    (tmp_path / "etc/crypttab").symlink_to("../../outside-secret")
    os.mkfifo(tmp_path / "usr/lib/pipe")
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").symlink_to("/usr/lib/pipe")
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    (tmp_path / "lib/apk/db/installed").symlink_to("installed")
    data = recorded(str(tmp_path))
    assert b"bookworm" in data and b"stolen" not in data
    assert b'"kind":"root"' in data and b"files/proc" not in data and b"commands/" not in data


def test_a_directory_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        recorded(str(tmp_path / "none"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_this_machine_tells_the_same_as_its_files(tmp_path: Path) -> None:
    data = recorded("/", directories=(str(tmp_path),))
    found = {(f.topic, f.name): f for f in facts_of(data, "host.tar") if isinstance(f, Setting)}
    assert found["kernel", "running"].value == os.uname().release
    assert found["firmware", "HSI"].state == "absent", "no command may be found but in the given directories"
    folder = Path("/sys/devices/system/cpu/vulnerabilities")
    said = {name: f.value for (topic, name), f in found.items() if topic == "cpu-vulnerability" and f.state == "value"}
    assert said == ({path.name: path.read_text().strip() for path in folder.iterdir()} if folder.is_dir() else {})
