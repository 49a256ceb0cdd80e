"""The consultation: pure code, ``(room, command, now)`` in, a new room out."""
