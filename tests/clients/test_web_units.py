"""The web client's own tests of its pure modules, run by Node's test runner."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "clients" / "web"


def test_web_client__pure_modules__pass_their_own_tests() -> None:
    node = Path(sys.executable).parent / "node"
    tests = sorted(str(path) for path in (WEB / "test").glob("*.test.js"))
    assert tests, "the web client has no tests"
    done = subprocess.run(
        [str(node), "--test", "--test-reporter=spec", *tests],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
