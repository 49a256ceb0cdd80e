"""What a program's ``/metrics`` says, as Prometheus would read it."""

from __future__ import annotations

import re

import aiohttp


async def scrape(url: str) -> str:
    """The metrics of the program at `url`."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        assert response.status == 200
        return await response.text()


def metric(text: str, name: str) -> float:
    """The sum of a metric over its labels."""
    found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found, f"no metric {name}"
    return sum(float(value) for value in found)
