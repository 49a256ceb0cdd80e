"""Which release of the software this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

_NOT_INSTALLED = "0+source"


def version() -> str:
    """The version of the installed distribution; of a bare source tree ``0+source``."""
    try:
        return installed("vtelehealth")
    except PackageNotFoundError:
        return _NOT_INSTALLED
