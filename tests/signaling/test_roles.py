"""The table of roles, held against what design and law say in words."""

from __future__ import annotations

from typing import get_args

import pytest

from signaling.protocol.messages import Role
from signaling.rooms.roles import CHAIR, PROMOTIONS, ROLES, Permission, may, permissions, sends


def test_every_role_has_its_row() -> None:
    assert set(ROLES) == set(PROMOTIONS) == set(get_args(Role))


def test_the_chair_may_everything() -> None:
    assert ROLES[CHAIR] == set(Permission)


@pytest.mark.parametrize("permission", [Permission.RECORD, Permission.END], ids=lambda p: p.value)
def test_only_the_treating_clinician_records_and_ends(permission: Permission) -> None:
    assert [role for role in ROLES if may(role, permission)] == ["treating_clinician"]


@pytest.mark.parametrize("role", ["patient", "guardian", "interpreter", "observer"])
def test_who_is_not_staff_waits_and_leads_nothing(role: Role) -> None:
    may_at_most = {Permission.SPEAK, Permission.SHARE_SCREEN, Permission.CHAT}
    assert ROLES[role] <= may_at_most


def test_an_observer_sends_nothing() -> None:
    assert sends("observer") == ()
    assert ROLES["observer"] == frozenset()


def test_what_a_role_sends() -> None:
    assert sends("patient") == ("audio", "video", "screen")
    assert sends("interpreter") == ("audio", "video")


def test_nobody_becomes_a_patient_an_admin_or_straight_from_outside_the_chair() -> None:
    for role, following in PROMOTIONS.items():
        assert not following & {"patient", "admin", role}
    assert [role for role, following in PROMOTIONS.items() if CHAIR in following] == [
        "consulting_clinician"
    ]


def test_permissions_are_told_by_name() -> None:
    assert permissions("patient") == ("speak", "share_screen", "chat")
    assert permissions("observer") == ()
