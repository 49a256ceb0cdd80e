"""The wire protocol for people who write clients: JSON Schemas, examples, and the generated parts
of ``signaling/PROTOCOL.md``. ``python -m clients.protocol`` writes them anew; a test compares."""
