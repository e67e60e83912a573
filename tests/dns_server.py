"""A real DNS server on loopback, UDP and TCP on one port, that can be told to fail, lie, delay and truncate.

It runs in the event loop of who starts it; `serve` in a `with` gives one in a thread of its own.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Fault = Literal[
    "",
    "NXDOMAIN",
    "SERVFAIL",
    "REFUSED",
    "silent",
    "garbage",
    "lie",
    "truncate",
    "cut",
    "loop",
    "forged",
    "no-tcp",
]
"""`lie`: the answer to another question. `forged`: the right answer comes after one with another id and one to another
question. `cut`: the message ends in its midst. `loop`: aliases in a circle. `no-tcp`: truncated, and TCP just ends."""

Srv = tuple[int, int, int, str]
"""Priority, weight, port and target."""


@dataclass(slots=True, kw_only=True)
class Record:
    """What is answered for one name. `truncate` holds over UDP only, so that TCP gives the whole answer.

    With `additional`, the addresses of the SRV targets come along.
    """

    addresses: tuple[str, ...] = ()
    srv: tuple[Srv, ...] = ()
    additional: bool = False
    ttl: int = 60
    alias: str = ""
    fault: Fault = ""
    aaaa_fault: Fault = ""
    delay: float = 0.0


@dataclass(slots=True)
class DnsServer:
    """`records` may be changed at any time; unknown names are NXDOMAIN. `asked` are the questions, in order.

    `busiest`: how many were open at a time, at most.
    """

    records: dict[str, Record] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0
    silent: bool = False
    busiest: int = 0
    _transport: asyncio.DatagramTransport | None = None
    _tcp: asyncio.Server | None = None
    _busy: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set(self, name: str, *addresses: str, **more: object) -> None:
        self.records[name] = Record(addresses=addresses, **more)

    def questions(self, name: str) -> int:
        return sum(1 for asked, _, _ in self.asked if asked == name)

    async def start(self, port: int = 0, address: str = "127.0.0.1") -> None:
        self._tcp = await asyncio.start_server(self._serve_tcp, address, port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(address, self.port))

    async def stop(self) -> None:
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def reply(self, wire: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        family = dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, family, transport))
        record = self.records.get(name, Record(fault="NXDOMAIN"))
        await asyncio.sleep(record.delay)
        fault = record.aaaa_fault if family == "AAAA" and record.aaaa_fault else record.fault
        if self.silent or fault == "silent" or (fault == "no-tcp" and transport == "tcp"):
            return None
        if fault == "garbage":
            return wire[:2] + b"\xff" * 30
        whole = self._response(query, name, family, fault, transport).to_wire(max_size=65535, want_shuffle=False)
        return whole[: len(whole) // 2] if fault == "cut" else whole

    def forgeries(self, wire: bytes) -> list[bytes]:
        """What somebody who is not asked might send first."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        if self.records.get(name, Record()).fault != "forged":
            return []
        other_id, other_question = dns.message.make_response(query), dns.message.make_response(query)
        other_id.id ^= 1
        other_question.question = [dns.rrset.from_text("other.example.", 0, "IN", "A")]
        for each in (other_id, other_question):
            each.answer = [dns.rrset.from_text(f"{name}.", 60, "IN", "A", "10.6.6.6")]
        return [b"\x00", other_id.to_wire(), other_question.to_wire()]

    def _response(
        self, query: dns.message.Message, name: str, family: str, fault: Fault, transport: str
    ) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        if fault in ("truncate", "no-tcp") and transport == "udp":
            response.flags |= dns.flags.TC
        elif fault in ("NXDOMAIN", "SERVFAIL", "REFUSED"):
            response.set_rcode(dns.rcode.from_text(fault))
        elif fault == "lie":
            response.question = [dns.rrset.from_text("other.example.", 0, "IN", family)]
        elif fault == "loop":
            aliases = ((f"{name}.", "b.example."), ("b.example.", f"{name}."))
            response.answer = [dns.rrset.from_text(owner, 60, "IN", "CNAME", to) for owner, to in aliases]
        else:
            response.answer = self._answer(name, family)
            response.additional = list(self._additional(name)) if family == "SRV" else []
        return response

    def _answer(self, name: str, family: str) -> list[dns.rrset.RRset]:
        answer = []
        while (record := self.records.get(name)) is not None and record.alias:
            answer.append(dns.rrset.from_text(f"{name}.", record.ttl, "IN", "CNAME", f"{record.alias}."))
            name = record.alias
        told = self._told(record, family) if record else []
        if record and told:
            answer.append(dns.rrset.from_text(f"{name}.", record.ttl, "IN", family, *told))
        return answer

    def _told(self, record: Record, family: str) -> list[str]:
        if family == "SRV":
            return [f"{priority} {weight} {port} {target}." for priority, weight, port, target in record.srv]
        return [address for address in record.addresses if (":" in address) == (family == "AAAA")]

    def _additional(self, name: str) -> Iterator[dns.rrset.RRset]:
        record = self.records.get(name, Record())
        for *_, target in record.srv if record.additional else ():
            for family in ("A", "AAAA"):
                yield from self._answer(target, family)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        reply = await self.reply(await reader.readexactly(length), "tcp")
        if reply is not None:
            writer.write(struct.pack(">H", len(reply)) + reply)
            await writer.drain()
        writer.close()

    def take(self, wire: bytes, sender: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._answer_udp(wire, sender))
        self._busy.add(task)
        self.busiest = max(self.busiest, len(self._busy))
        task.add_done_callback(self._busy.discard)

    async def _answer_udp(self, wire: bytes, sender: tuple[str, int]) -> None:
        reply = await self.reply(wire, "udp")
        for each in (*self.forgeries(wire), reply):
            if each is not None and self._transport is not None:
                self._transport.sendto(each, sender)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.take(data, addr)


def _here(function: Callable[[Any], Any], argument: Any) -> Any:
    return function(argument)


@contextmanager
def serve(
    port: int = 0, address: str = "127.0.0.1", within: Callable[[Callable[[Any], Any], Any], Any] = _here
) -> Iterator[DnsServer]:
    """A server in a thread of its own, for programs that are other processes. `within` of a network namespace makes
    its sockets there."""
    loop = asyncio.new_event_loop()
    server = DnsServer()
    within(loop.run_until_complete, server.start(port, address))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(server.stop())
        loop.close()
