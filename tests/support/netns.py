"""Networks of a test's own: namespaces, cables between them, firewalls and slow links.

The test's process and its servers stay where they are; each `Site` is a namespace behind a router
namespace, as a house is behind its provider:

    servers 10.n.0.1 ── router ── 10.n.1.2 site 1
                          └────── 10.n.2.2 site 2

Needs root. Everything is made when it is asked for and removed by `Networks.close`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_IPV6 = Path("/proc/sys/net/ipv6/conf")
_TOOLS = ("ip", "iptables", "tc", "sysctl")


@cache
def why_not() -> str:
    """Why this machine cannot make networks, for a skip; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"network namespaces need {', '.join(missing)}"
    name = f"vt{secrets.token_hex(3)}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return "this machine does not let us make network namespaces"
    _run("ip", "netns", "del", name)
    return ""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"


class Networks:
    """The router and its sites. `server_address` is where sites reach this machine."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(3)
        # The test networks of others, and of other runs, are unlikely to have this number.
        self._net = f"10.{64 + secrets.randbelow(128)}"
        self._router = f"vt{self._id}r"
        self._uplink = f"vt{self._id}s"
        self._namespaces: list[str] = []
        self._is_cabled = False
        self.sites: list[Site] = []
        self.server_address = f"{self._net}.0.1"

    def open(self) -> None:
        """Make the router and our cable to it."""
        self._add_namespace(self._router)
        _run("ip", "link", "add", self._uplink, "type", "veth",
             "peer", "name", "wide", "netns", self._router)  # fmt: skip
        self._is_cabled = True
        if _IPV6.exists():
            # Its IPv6 address would come a second later, and each browser on this machine break off
            # what it is loading: the network has changed.
            (_IPV6 / self._uplink / "disable_ipv6").write_text("1")
        _run("ip", "addr", "add", f"{self.server_address}/24", "dev", self._uplink)
        _run("ip", "link", "set", self._uplink, "up")
        self.at_router("ip", "addr", "add", f"{self._net}.0.2/24", "dev", "wide")
        self.at_router("ip", "link", "set", "wide", "up")
        self.at_router("sysctl", "-q", "-w", "net.ipv4.ip_forward=1")

    def close(self) -> None:
        """Remove it all; cables go with the namespaces at their ends, but some time later."""
        if self._is_cabled:
            # Ours at once: its going would be a changed network to the next test's browsers.
            _run("ip", "link", "del", self._uplink)
            self._is_cabled = False
        for name in self._namespaces:
            _run("ip", "netns", "del", name)
        self._namespaces.clear()

    def site(self) -> Site:
        """A further site, connected."""
        number = len(self.sites) + 1
        site = Site(self, f"vt{self._id}c{number}", f"{self._net}.{number}", f"down{number}")
        self._add_namespace(site.namespace)
        _run("ip", "link", "add", site.port, "netns", self._router, "type", "veth",
             "peer", "name", "eth0", "netns", site.namespace)  # fmt: skip
        self.at_router("ip", "addr", "add", site.gateway + "/24", "dev", site.port)
        self.at_router("ip", "link", "set", site.port, "up")
        site.run("ip", "link", "set", "lo", "up")
        site.run("ip", "link", "set", "eth0", "up")
        site.take_address(site.address)
        _run("ip", "route", "add", f"{site.network}.0/24", "via", f"{self._net}.0.2")
        self.sites.append(site)
        return site

    def at_router(self, *command: str) -> None:
        """Run a command in the router's namespace."""
        _run("ip", "netns", "exec", self._router, *command)

    def _add_namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._namespaces.append(name)
        if _IPV6.exists():
            _run("ip", "netns", "exec", name, "sysctl", "-q", "-w",
                 "net.ipv6.conf.default.disable_ipv6=1")  # fmt: skip


class Site:
    """One household or hospital: a namespace with one interface, `eth0`."""

    def __init__(self, networks: Networks, namespace: str, network: str, port: str) -> None:
        self._networks = networks
        self.namespace = namespace
        self.network = network
        self.port = port
        self.gateway = f"{network}.1"
        self.address = f"{network}.2"

    def run(self, *command: str) -> None:
        """Run a command at the site and wait for it."""
        _run("ip", "netns", "exec", self.namespace, *command)

    def wrapper(self, program: str, directory: Path) -> Path:
        """A script that runs a program at the site, in the place of the program itself."""
        path = directory / f"{Path(program).name}-{self.namespace}"
        path.write_text(f'#!/bin/sh\nexec ip netns exec {self.namespace} {program} "$@"\n')
        path.chmod(0o755)
        return path

    def block_udp(self) -> None:
        """A firewall that lets no UDP through, without a word."""
        self._forward("-p", "udp", "-j", "DROP")

    def allow_only_tcp(self, ports: Iterable[int]) -> None:
        """A firewall that lets out nothing but TCP to these ports of the servers."""
        for port in ports:
            self._forward("-p", "tcp", "--dport", str(port), "-j", "ACCEPT")
        self._forward("-j", "DROP")

    def lose(self, probability: float) -> None:
        """Lose packets at random, each way."""
        self._lose("-A", probability)

    def lose_no_more(self, probability: float) -> None:
        """What `lose` did is undone."""
        self._lose("-D", probability)

    def limit_downlink(self, rate_bps: int) -> None:
        """What comes to the site at most; 200 ms of it wait, the rest is lost."""
        self._networks.at_router(
            "tc", "qdisc", "replace", "dev", self.port, "root", "tbf", "rate", f"{rate_bps}bit",
            "burst", "4000", "latency", "200ms",
        )  # fmt: skip

    def unlimit_downlink(self) -> None:
        """The link as it was."""
        self._networks.at_router("tc", "qdisc", "del", "dev", self.port, "root")

    def block_downlink(self) -> None:
        """Nothing comes to the site any more; what it sends still leaves."""
        self._networks.at_router("iptables", "-I", "FORWARD", "-o", self.port, "-j", "DROP")

    def unblock_downlink(self) -> None:
        """What `block_downlink` did is undone."""
        self._networks.at_router("iptables", "-D", "FORWARD", "-o", self.port, "-j", "DROP")

    def change_address(self) -> None:
        """The interface loses its address and gets another, as when a phone changes networks."""
        former = self.address
        self.address = f"{self.network}.{int(former.rsplit('.', 1)[1]) + 1}"
        self.run("ip", "addr", "del", f"{former}/24", "dev", "eth0")
        self.take_address(self.address)

    def take_address(self, address: str) -> None:
        """Give the interface an address and the way out."""
        self.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "route", "add", "default", "via", self.gateway)

    def _lose(self, action: str, probability: float) -> None:
        for end in ("-i", "-o"):
            self._networks.at_router(
                "iptables", action, "FORWARD", end, self.port, "-m", "statistic", "--mode",
                "random", "--probability", str(probability), "-j", "DROP",
            )  # fmt: skip

    def _forward(self, *rule: str) -> None:
        self._networks.at_router("iptables", "-A", "FORWARD", "-i", self.port, *rule)
