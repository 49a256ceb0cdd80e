"""The web client's own tests of its pure modules, run by Node's test runner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from signaling.rooms.roles import PROMOTIONS

NODE = Path(sys.executable).parent / "node"
WEB = Path(__file__).resolve().parents[2] / "clients" / "web"


def test_web_client__pure_modules__pass_their_own_tests() -> None:
    tests = sorted(str(path) for path in (WEB / "test").glob("*.test.js"))
    assert tests, "the web client has no tests"
    done = subprocess.run(
        [str(NODE), "--test", "--test-reporter=spec", *tests],
        cwd=WEB,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


def test_roles_offered__are_those_that_the_server_allows() -> None:
    script = f"""import {{ PROMOTIONS }} from {json.dumps((WEB / "src/roles.js").as_uri())};
    console.log(JSON.stringify(PROMOTIONS))"""
    done = subprocess.run(
        [str(NODE), "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    offered = {role: frozenset(roles) for role, roles in json.loads(done.stdout).items()}
    assert offered == PROMOTIONS
