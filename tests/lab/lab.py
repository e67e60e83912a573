"""The lab: machines beside each other on one bridge, and the DNS server that knows them by `<name>.lab`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.dns_server import DnsServer, serve
from tests.lab.machine import Machine, sweep
from tests.lab.network import GATEWAY, Netns, lab_network


@dataclass(slots=True, kw_only=True)
class Lab:
    network: Netns
    dns: DnsServer
    machines: dict[str, Machine] = field(default_factory=dict)
    _end: ExitStack = field(default_factory=ExitStack)

    def boot(self, over: Mapping[str, tuple[Path, ...]]) -> tuple[Machine, ...]:
        """Machines by their names, each over its layers. They boot side by side, and have when this returns."""
        new = tuple(self._new(name, layers) for name, layers in over.items())
        for machine in new:
            machine.start()
        for machine in new:
            machine.await_boot()
            settle(machine)
        return new

    def _new(self, name: str, layers: tuple[Path, ...]) -> Machine:
        address = f"10.77.0.{11 + len(self.machines)}"
        machine = Machine(name, address, layers, self.network)
        self._end.callback(machine.stop)
        self.machines[name] = machine
        self.dns.set(f"{name}.lab", address, ttl=1)
        return machine

    def close(self) -> None:
        self._end.close()


def settle(machine: Machine) -> None:
    """What an installer does: a name, and whom to ask for others."""
    machine.write("/etc/hostname", f"{machine.name}\n")
    machine.write("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {machine.name}\n")
    machine.write("/etc/resolv.conf", f"nameserver {GATEWAY}\noptions timeout:1 attempts:2\n")


@contextmanager
def running_lab() -> Iterator[Lab]:
    sweep()
    with lab_network() as network, serve(53, GATEWAY, network.within) as dns:
        lab = Lab(network=network, dns=dns)
        try:
            yield lab
        finally:
            lab.close()
