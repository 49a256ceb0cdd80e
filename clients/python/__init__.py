"""A small asyncio client of the teleconsultation server: for tests, bots and integrators.

`rest` makes consultations and invitations, `signalling` speaks ``vtelehealth.v1`` and resumes by
itself, `call` sends and receives media with aiortc. README.md has an example.
"""
