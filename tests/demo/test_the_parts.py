"""The demo's parts, each on the real thing: openssl, git, sockets."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections import Counter

import pytest

from meshd.demo import meshes, show
from meshd.demo.backends import backend
from meshd.demo.certificates import issue
from meshd.demo.commands import DemoError, run
from meshd.demo.repository import create
from meshd.demo.traffic import Question, answers


def test_a_server_with_its_certificate_is_trusted_by_its_name_and_by_no_other(tmp_path):
    async def asked(name):
        certificate = await issue(tmp_path, "payments.example")
        trusting = ssl.create_default_context(cafile=str(certificate.authority))
        async with backend("payments", certificate.server_context()) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = await reader.readuntil(b"\n\r\n") + await reader.readline()
            writer.close()
            return answer.decode()

    assert asyncio.run(asked("payments.example")).endswith("payments over TLSv1.3\n")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        asyncio.run(asked("other.example"))


def test_a_commit_is_told_as_the_lines_it_changed(tmp_path):
    async def changes():
        repository = await create(tmp_path)
        await repository.commit({"routes.yaml": meshes.all_to("v1")}, "v1")
        await repository.commit({"routes.yaml": meshes.shared({"v1": 75, "v2": 25})}, "a quarter")
        await repository.push()
        return await repository.changes()

    assert asyncio.run(changes()) == (
        "+++ b/routes.yaml",
        "+      weight: 75",
        "+    - destination: {host: shop.example, subset: v2}",
        "+      weight: 25",
    )


def test_the_users_own_git_configuration_has_no_say(tmp_path, monkeypatch):
    (tmp_path / "config").write_text("[commit]\ngpgSign = true\n[core]\nhooksPath = /nonexistent\n[user]\nname = Eve\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")

    async def author():
        repository = await create(tmp_path)
        await repository.commit({"a.yaml": ""}, "a commit")
        return await run("git", "log", "--format=%an", cwd=repository.clone, environment={"PATH": "/usr/bin:/bin"})

    assert asyncio.run(author()) == "meshd demo\n"


def test_another_program_that_fails_is_told_in_its_own_words(tmp_path):
    with pytest.raises(DemoError, match="not a git command"):
        asyncio.run(run("git", "nonsense", cwd=tmp_path))


def test_a_program_that_is_missing_is_told_with_what_to_do(tmp_path):
    with pytest.raises(DemoError) as caught:
        asyncio.run(run("nosuchprogram", cwd=tmp_path))

    assert caught.value.hint == "apt-get install nosuchprogram"


def test_answers_that_are_no_answers_are_counted_too():
    async def counted():
        server = await asyncio.start_server(_refusing, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await answers(port, Question(url="http://shop.example/", among=frozenset()))

    async def _refusing(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    assert asyncio.run(counted()) == Counter({str(http.client.SERVICE_UNAVAILABLE): 200})


def test_nobody_there_is_an_answer_of_its_own():
    async def closed_port():
        async with backend("v1") as port:
            pass
        return await answers(port, Question(url="http://shop.example/", among=frozenset()))

    assert asyncio.run(closed_port()) == Counter({"ConnectionRefusedError": 200})


def test_of_a_long_change_the_beginning_and_the_end_are_shown(capsys):
    show.commit(1, "a title", "f" * 40, ["+++ b/new.yaml", *(f"+line {number}" for number in range(30))])

    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "new.yaml" in lines
    assert "+line 0" in lines
    assert "... 19 lines ..." in lines
    assert lines[-1] == "+line 29"


def test_a_long_problem_is_wrapped_at_100_columns(capsys):
    show.refused("30 ms after the push", ["routes.yaml:9:7: spec: " + "a word too many " * 12])

    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) > 2
