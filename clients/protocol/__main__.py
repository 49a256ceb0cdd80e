"""``python -m clients.protocol``: write the schemas and the generated parts of PROTOCOL.md anew."""

from __future__ import annotations

import json
from pathlib import Path

import signaling
from clients.protocol.document import filled
from clients.protocol.schemas import schemas

HERE = Path(__file__).parent
DOCUMENT = Path(signaling.__file__).parent / "PROTOCOL.md"


def files() -> dict[Path, str]:
    """Every generated file and what must be in it."""
    made = {
        HERE / name: json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        for name, schema in schemas().items()
    }
    return made | {DOCUMENT: filled(DOCUMENT.read_text())}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
