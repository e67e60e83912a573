"""Fetching over the network: git:// from a real daemon, http from git's own backend, and servers that misbehave."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import CredentialType

from meshd.source.faults import source_error
from meshd.source.fetching import FetchRequest, _Callbacks, trust_only
from meshd.source.revision import SourceError
from meshd.source.settings import RepositorySettings, without_credentials
from tests.live.certificates import authority, server_context
from tests.ports import free_port
from tests.source.http_backend import http_server
from tests.source.repositories import a_repository, a_source, git, git_daemon
from tests.waiting import until


@pytest.fixture
def repository(tmp_path):
    return a_repository(tmp_path)


@pytest.fixture
def daemon(tmp_path):
    with git_daemon(tmp_path) as url:
        yield url


def refused(source) -> SourceError:
    with pytest.raises(SourceError) as caught:
        source.fetch()
    return caught.value


def test_a_push_to_a_remote_repository_is_fetched(repository, daemon, tmp_path):
    source = a_source(f"{daemon}/mesh.git", tmp_path)
    assert not source.is_local
    assert source.local_git_directory() is None
    for number in range(3):
        revision = repository.push({"a.yaml": f"{number}"})

        assert source.fetch() == revision
        assert source.fetch() == revision
        assert source.read(source.revision(revision).files["a.yaml"]) == b"%d" % number


def test_a_remote_branch_moved_by_force_or_deleted_is_told(repository, daemon, tmp_path):
    source = a_source(f"{daemon}/mesh.git", tmp_path)
    first = repository.push({"a.yaml": "1"})
    repository.push({"a.yaml": "2"})
    source.fetch()
    git(repository.work, "reset", "--quiet", "--hard", first)
    third = repository.push({"a.yaml": "3"}, "--force")

    assert source.fetch() == third
    assert list(source.ancestors(third)) == [first]

    git(repository.bare, "branch", "-m", "main", "other")
    error = refused(source)
    assert (error.reason, error.hint) == ("BranchNotFound", "its branches: other")
    assert list(source.revision(third).files) == ["a.yaml"]


def test_an_empty_remote_repository_is_told(repository, daemon, tmp_path):
    assert refused(a_source(f"{daemon}/mesh.git", tmp_path)).reason == "RepositoryEmpty"


def test_a_remote_repository_that_is_not_there_or_whose_server_is_away_is_told(daemon, tmp_path):
    assert refused(a_source(f"{daemon}/nowhere.git", tmp_path)).reason == "RepositoryUnreachable"
    assert refused(a_source(f"git://127.0.0.1:{free_port()}/x.git", tmp_path)).reason == "RepositoryUnreachable"
    assert refused(a_source("ftp://127.0.0.1/x.git", tmp_path)).reason == "RepositoryUnsupported"


def test_a_remote_sha256_repository_is_told(tmp_path, daemon):
    git(tmp_path, "init", "--quiet", "-b", "main", "--object-format=sha256", "other")
    (tmp_path / "other" / "a.yaml").write_text("1")
    git(tmp_path / "other", "add", ".")
    git(tmp_path / "other", "commit", "--quiet", "-m", "1")

    assert refused(a_source(f"{daemon}/other/.git", tmp_path)).reason == "RepositoryUnsupported"


@contextmanager
def a_silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """Accepts, and says nothing."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1], connections
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


@pytest.mark.parametrize("scheme", ["git", "http", "ssh"])
def test_a_server_that_says_nothing_is_left_at_the_deadline(tmp_path, scheme):
    with a_silent_server() as (port, _):
        source = a_source(f"{scheme}://127.0.0.1:{port}/mesh.git", tmp_path, timeout=timedelta(seconds=1))

        error = refused(source)

    assert error.reason == "RepositoryUnreachable"
    assert "longer than 1 s" in str(error)
    assert "repository.timeout" in error.hint


def test_closing_ends_a_fetch_that_is_under_way(tmp_path):
    with a_silent_server() as (port, connections):
        source = a_source(f"git://127.0.0.1:{port}/mesh.git", tmp_path)
        errors: list[SourceError] = []
        thread = threading.Thread(target=lambda: errors.append(refused(source)))
        thread.start()
        until(lambda: connections, what="the fetch to connect")

        source.close()
        thread.join(20)

    assert [error.reason for error in errors] == ["RepositoryUnreachable"]
    assert "stopping" in str(refused(source))


def test_a_fetch_ends_when_its_agent_is_gone(tmp_path):
    program = (
        "import sys; from pathlib import Path; from meshd.source.git import GitSource\n"
        "from meshd.source.settings import RepositorySettings as R\n"
        "GitSource(R(url=sys.argv[1]), Path(sys.argv[2])).fetch()"
    )
    with a_silent_server() as (port, connections):
        url = f"git://127.0.0.1:{port}/mesh.git"
        agent = subprocess.Popen([os.sys.executable, "-c", program, url, str(tmp_path / "state" / "mirror.git")])
        until(lambda: connections, what="the fetch to connect")
        agent.kill()
        agent.wait()

        connections[0].settimeout(20)
        while connections[0].recv(4096):  # the request; then the end, for the fetching process is gone
            pass


def test_a_fetch_killed_in_the_middle_is_done_again(repository, daemon, tmp_path):
    revision = repository.push({f"{n}.yaml": os.urandom(50_000).hex() for n in range(40)})
    for number in range(6):
        timeout = timedelta(milliseconds=120 + 40 * number)
        source = a_source(f"{daemon}/mesh.git", tmp_path, timeout=timeout)
        try:
            source.fetch()
        except SourceError as error:
            assert error.reason == "RepositoryUnreachable"  # noqa: PT017 - it may be in time, on a quick machine

    source = a_source(f"{daemon}/mesh.git", tmp_path)

    assert source.fetch() == revision
    assert len(source.revision(revision).files) == 40


# --- credentials ---------------------------------------------------------------------------------------------


def test_a_repository_behind_a_password_is_fetched_with_it(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    secret = tmp_path / "token"
    secret.write_text("s3cret\n")
    with http_server(tmp_path, "meshd:s3cret") as address:
        source = a_source(f"http://{address}/mesh.git", tmp_path, username="meshd", password_file=secret)

        assert source.fetch() == revision
        assert source.fetch() == revision


def test_a_password_that_is_missing_or_wrong_is_told_and_never_shown(repository, tmp_path):
    repository.push({"a.yaml": "1"})
    secret = tmp_path / "token"
    secret.write_text("wr0ng")
    with http_server(tmp_path, "meshd:s3cret") as address:
        without = refused(a_source(f"http://{address}/mesh.git", tmp_path))
        wrong = refused(a_source(f"http://{address}/mesh.git", tmp_path, username="meshd", password_file=secret))
        in_url = refused(a_source(f"http://meshd:wr0ng@{address}/mesh.git", tmp_path))
        absent = refused(a_source(f"http://{address}/mesh.git", tmp_path, password_file=tmp_path / "nowhere"))

    for error in (without, wrong, in_url, absent):
        assert error.reason == "RepositoryRefused"
        assert "wr0ng" not in f"{error} {error.hint}"
    assert "repository.passwordFile" in without.hint
    assert "nowhere" in str(absent)


def test_an_authority_of_the_house_is_trusted_where_it_is_named(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    ca = authority(tmp_path)
    pair = ca.signed("git", "IP:127.0.0.1")
    no_certificate = tmp_path / "empty.pem"
    no_certificate.write_text("")
    with http_server(tmp_path, tls=server_context(pair)) as address:
        url = f"https://{address}/mesh.git"
        stranger = refused(a_source(url, tmp_path))
        empty = refused(a_source(url, tmp_path, ca_file=no_certificate))

        assert a_source(url, tmp_path, ca_file=ca.file).fetch() == revision

    assert {stranger.reason, empty.reason} == {"RepositoryRefused"}
    assert "repository.caFile" in stranger.hint
    assert "empty.pem holds no certificate" in str(empty)


def test_a_repository_without_a_password_needs_none_over_http(repository, tmp_path):
    revision = repository.push({"a.yaml": "1"})
    with http_server(tmp_path) as address:
        assert a_source(f"http://{address}/mesh.git", tmp_path).fetch() == revision
        assert refused(a_source(f"http://{address}/nowhere.git", tmp_path)).reason == "RepositoryUnreachable"


def test_secrets_of_a_url_are_not_shown():
    settings = RepositorySettings(url="https://me:s3cret@git.example.com/mesh.git")

    assert settings.shown_url == "https://git.example.com/mesh.git"
    assert "s3cret" not in repr(settings)
    assert without_credentials("no https://t0ken@a/b or http://u:p@c/d") == "no https://a/b or http://c/d"


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("/srv/mesh.git", Path("/srv/mesh.git")),
        ("file:///srv/my%20mesh.git", Path("/srv/my mesh.git")),
        ("./mesh.git", Path.cwd() / "mesh.git"),
        ("ssh://git@example.com/mesh.git", None),
        ("git@example.com:mesh.git", None),
        ("https://example.com/mesh.git", None),
    ],
)
def test_a_repository_on_this_machine_is_told_from_others(url, directory):
    assert RepositorySettings(url=url).directory == directory


# --- ssh: what libgit2 asks, without a server -------------------------------------------------------------------


def callbacks(**settings: object) -> _Callbacks:
    request = FetchRequest(mirror="", url="", branch="main", is_local=False)
    return _Callbacks(FetchRequest(**{**{f: getattr(request, f) for f in request.__slots__}, **settings}))


def test_an_unknown_or_changed_host_key_is_refused():
    assert callbacks().certificate_check(None, True, b"git.example.com") is True

    with pytest.raises(SourceError) as caught:
        callbacks().certificate_check(None, False, b"git.example.com")

    assert caught.value.reason == "RepositoryRefused"
    assert "`ssh-keyscan git.example.com` prints what belongs into repository.knownHosts" in caught.value.hint


def test_a_certificate_that_nobody_trusts_may_be_a_matter_of_the_clock():
    with pytest.raises(SourceError) as caught:
        callbacks(url="https://git.example.com/mesh.git").certificate_check(None, False, b"git.example.com")

    assert (caught.value.reason, "clock" in caught.value.hint) == ("RepositoryRefused", True)


def test_a_key_that_cannot_be_read_is_named(tmp_path):
    asked = callbacks(ssh_key=str(tmp_path / "nowhere"))

    with pytest.raises(SourceError) as caught:
        asked.credentials("ssh://x", "git", CredentialType.SSH_KEY)

    assert f"repository.sshKey {tmp_path}/nowhere: No such file" in str(caught.value)
    assert "root:meshd" in caught.value.hint


def test_an_ssh_key_is_shown_once(tmp_path):
    file = tmp_path / "id_ed25519"
    file.write_text("a key")
    asked = callbacks(ssh_key=str(file))

    assert isinstance(asked.credentials("ssh://x", "git", CredentialType.USERNAME), pygit2.Username)
    key = asked.credentials("ssh://x", "git", CredentialType.SSH_KEY)
    assert key.credential_tuple == ("git", None, str(file), "")
    with pytest.raises(SourceError) as caught:
        asked.credentials("ssh://x", "git", CredentialType.SSH_KEY)
    assert caught.value.reason == "RepositoryRefused"


def test_without_a_key_the_agents_is_asked():
    assert isinstance(callbacks().credentials("ssh://x", "git", CredentialType.SSH_KEY), pygit2.KeypairFromAgent)


def test_known_hosts_are_those_of_the_settings_and_no_others(tmp_path):
    known = tmp_path / "known"
    known.write_text("git.example.com ssh-ed25519 AAAA\n")
    home = pygit2.settings.homedir
    (tmp_path / "home").mkdir()
    try:
        trust_only(str(known), str(tmp_path / "home"))
        assert pygit2.settings.homedir == str(tmp_path / "home")
        assert (tmp_path / "home" / ".ssh" / "known_hosts").read_text() == known.read_text()
    finally:
        pygit2.settings.homedir = home


def test_known_hosts_that_cannot_be_read_are_told(tmp_path):
    error = refused(a_source("ssh://git@127.0.0.1:1/x.git", tmp_path, known_hosts=tmp_path / "nowhere"))

    assert (error.reason, "nowhere" in str(error)) == ("RepositoryRefused", True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("failed to authenticate SSH session: Username/PublicKey combination invalid", "RepositoryRefused"),
        ("failed to authenticate SSH session: Unable to open private key file", "RepositoryRefused"),
        ("the SSL certificate is invalid", "RepositoryRefused"),
        ("fatal: '/srv/mehs.git' does not appear to be a git repository\n", "RepositoryUnreachable"),
        ("ERROR: The project you were looking for could not be found", "RepositoryUnreachable"),
        ("unexpected http status code: 403", "RepositoryRefused"),
        ("unexpected http status code: 502", "RepositoryUnreachable"),
        ("failed to resolve address for git.example.com: Name or service not known", "RepositoryUnreachable"),
        ("failed to resolve path '/home/ada/mesh.git': Permission denied", "RepositoryUnreachable"),
        ("failed to write chunk: No space left on device", "MirrorNotWritable"),
        ("object not found - no match for id (1234)", "RepositoryCorrupt"),
    ],
)
def test_what_libgit2_says_becomes_a_reason(text, reason):
    assert source_error(pygit2.GitError(text)).reason == reason


@pytest.mark.parametrize("says", ["fatal: no space left\n", "'no space left'"])
def test_a_server_s_line_ends_are_left_out(says):
    assert str(source_error(pygit2.GitError(says))).endswith("no space left")


def test_a_key_with_a_passphrase_is_known_as_one():
    said = (
        "Unable to extract public key from private key file: Wrong passphrase or invalid/unrecognized private key file"
    )

    assert "without a passphrase" in source_error(pygit2.GitError(said)).hint


def test_who_keeps_the_repository_below_home_is_told_of_the_drop_in():
    error = source_error(pygit2.GitError("failed to resolve path '/home/ada/mesh.git': Permission denied"))

    assert "ProtectHome=read-only" in error.hint
