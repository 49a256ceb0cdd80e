"""The SFU as a program: its sockets, its clock, and the HTTP side."""

from sfu.server.program import SfuProgram

__all__ = ["SfuProgram"]
