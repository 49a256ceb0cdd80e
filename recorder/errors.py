"""What can go wrong in the recorder, ours or the world's, in one tree."""

from __future__ import annotations


class RecorderError(Exception):
    """Base of the recorder's own errors."""


class ConfigError(RecorderError):
    """The configuration is wrong; the text is one plain sentence for the person who starts us."""


class DiskFullError(RecorderError):
    """There is no room, or less than the reserve that the configuration keeps free."""


class JournalError(RecorderError):
    """A journal cannot be read or written: not ours, or the disk fails."""


class TapLostError(RecorderError):
    """The tap is gone, or is not the one that was begun: no more of the recording will come."""


class MuxError(RecorderError):
    """A recording's journal could not be made into files."""


class MuxTimeoutError(MuxError):
    """The muxer was ended because it took too long: once more would take as long."""


class CommandError(RecorderError):
    """A control command asks for what cannot be: a bad id, an unknown consultation."""


class StateError(RecorderError):
    """A job was told an event that its table does not have: a fault of ours."""
