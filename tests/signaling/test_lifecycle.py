"""The consultation's own states, authority, sessions, limits."""

from __future__ import annotations

import msgspec
import pytest

from signaling.errors import RequestError
from signaling.protocol.codes import ErrorCode
from signaling.protocol.messages import Media, Role
from signaling.rooms import commands as c
from signaling.rooms.authority import AUTHORITY, Authority
from signaling.rooms.conversation import MAX_CHAT_BYTES, shown
from signaling.rooms.invitations import MAX_PARTICIPANTS
from signaling.rooms.lifecycle import apply
from signaling.rooms.roles import ROLES, Permission
from signaling.rooms.room import ChatLine, Measured, TimelineEntry
from signaling.rooms.view import view
from tests.support.bench import PEOPLE, Bench, in_state


def refusal(bench: Bench, command: c.Command) -> ErrorCode:
    """The code with which the room refuses; the room must stay as it was."""
    before = bench.room
    with pytest.raises(RequestError) as refused:
        bench.do(command)
    assert bench.room is before
    return refused.value.code


# ------------------------------------------------------------ the consultation


def test_scheduled__ready__waiting() -> None:
    bench = Bench()
    bench.join("patient")
    assert bench.stage() == "scheduled"
    bench.do(c.Ready(actor="patient"))
    assert bench.stage() == "waiting"


def test_scheduled__end__ended() -> None:
    bench = Bench()
    bench.do(c.End())
    assert (bench.stage(), bench.room.ended_at) == ("ended", bench.now)


def test_scheduled__expire__ended() -> None:
    bench = Bench()
    bench.now = bench.room.expires_at
    bench.do(c.Expire())
    assert bench.stage() == "ended"


def test_waiting__met__active() -> None:
    bench = Bench()
    bench.enter("chair", "patient")
    assert bench.stage() == "waiting"
    bench.do(c.Admit(actor="chair", participant="patient"))
    assert (bench.stage(), bench.room.started_at) == ("active", bench.now)
    assert [entry.what for entry in bench.room.timeline[-2:]] == ["admitted", "started"]


def test_waiting__two_without_a_host__waiting() -> None:
    bench = Bench()
    bench.enter("consultant", "patient")
    bench.do(c.Admit(participant="patient"))
    assert bench.stage() == "waiting"


def test_waiting__end__ended() -> None:
    bench = Bench()
    bench.enter("chair")
    bench.do(c.End(actor="chair"))
    assert bench.stage() == "ended"


def test_waiting__expire__ended() -> None:
    bench = in_state("waiting")
    bench.do(c.Leave(actor="chair"))
    bench.now = bench.room.expires_at
    bench.do(c.Expire())
    assert bench.stage() == "ended"


def test_active__end__ended() -> None:
    bench = in_state("admitted")
    bench.do(c.End(actor="chair"))
    assert bench.stage() == "ended"
    assert all(s.end == bench.now for p in bench.room.participants for s in p.presences)


def test_active__expire__ended_when_everyone_is_lost() -> None:
    bench = in_state("admitted")
    bench.lose("chair")
    bench.now = bench.room.expires_at
    bench.do(c.Expire())
    assert bench.stage() == "active", "the patient is still in the call"
    bench.lose("patient")
    bench.do(c.Expire())
    assert bench.stage() == "ended"


def test_nobody_expires_before_the_time() -> None:
    bench = Bench()
    bench.do(c.Expire())
    assert bench.stage() == "scheduled"


def test_a_lost_call_is_not_an_ended_one() -> None:
    bench = in_state("admitted")
    bench.lose("patient")
    bench.lose("chair")
    assert bench.stage() == "active"


def test_after_the_end_what_comes_late_changes_nothing_and_the_rest_is_refused() -> None:
    bench = in_state("admitted")
    bench.do(c.End(actor="chair"))
    ended = bench.room
    bench.drop("patient")
    bench.do(c.Leave(actor="patient"))
    bench.do(c.StopRecording(reason="failed"))
    bench.do(c.Expire())
    assert bench.room is ended
    for command in (
        c.End(actor="chair"),
        c.Admit(actor="chair", participant="patient"),
        c.Chat(actor="patient", id="1", text="còn ai không"),
        c.StopRecording(actor="chair"),
        c.AddParticipant(participant="x", name="x", role="patient"),
    ):
        assert refusal(bench, command) is ErrorCode.CONSULTATION_ENDED
    with pytest.raises(RequestError) as refused:
        bench.resume("patient")
    assert refused.value.code is ErrorCode.CONSULTATION_ENDED


# ------------------------------------------------------------------- authority

UPON_PATIENT: dict[Permission, c.Command] = {
    Permission.ADMIT: c.Admit(participant="guardian"),
    Permission.HOLD: c.Hold(participant="patient"),
    Permission.REMOVE: c.Remove(participant="patient"),
    Permission.MUTE: c.Mute(participant="patient", kinds=("audio",)),
    Permission.PROMOTE: c.Promote(participant="observer", role="interpreter"),
    Permission.RECORD: c.StartRecording(recording="r"),
    Permission.END: c.End(),
    Permission.INVITE: c.Invite(invitation="i", participant="patient", expires_at=9e9),
    Permission.CHAT: c.Chat(id="1", text="xin chào"),
}


def everyone_in_the_call() -> Bench:
    bench = Bench()
    bench.enter("chair", "consultant", "nurse", "admin")
    bench.admit("patient", "interpreter", "observer")
    bench.enter("guardian")
    bench.decide("patient", "given")
    return bench


@pytest.mark.parametrize("who", [each for each in PEOPLE if each != "guardian"])
@pytest.mark.parametrize("permission", UPON_PATIENT, ids=lambda each: each.value)
def test_what_a_role_may_do_is_what_the_table_says(who: str, permission: Permission) -> None:
    bench = everyone_in_the_call()
    command = msgspec.structs.replace(UPON_PATIENT[permission], actor=who)
    if permission in ROLES[PEOPLE[who]]:
        bench.do(command)
    else:
        assert refusal(bench, command) is ErrorCode.NOT_ALLOWED


SERVER_ONLY: tuple[c.Command, ...] = (
    c.Connect(
        invitation="i-guardian",
        role="guardian",
        session="s",
        secret_sha256="x",
        language="vi",
        node="n",
        connection="w",
    ),
    c.Reconnect(participant="patient", secret_sha256="x", node="n", connection="w"),
    c.Disconnect(participant="patient", connection="ws-patient-1"),
    c.Lose(participant="patient", grace_s=0),
    c.ForgetNode(node="node"),
    c.HostMedia(url="ws://elsewhere", epoch=2),
    c.NoteFaults(participant="patient", faults=()),
    c.NoteQuality(participant="patient", measured=Measured(observer="o")),
    c.Expire(),
)


@pytest.mark.parametrize("command", SERVER_ONLY, ids=lambda each: type(each).__name__)
def test_no_person_may_say_what_the_server_says(command: c.Command) -> None:
    bench = everyone_in_the_call()
    said = msgspec.structs.replace(command, actor="chair")
    assert refusal(bench, said) is ErrorCode.NOT_ALLOWED


def test_the_server_only_commands_are_all_tried() -> None:
    from signaling.rooms.states import Met

    named = {each for each, needed in AUTHORITY.items() if needed is Authority.SYSTEM} - {Met}
    assert named == {type(each) for each in SERVER_ONLY}


@pytest.mark.parametrize("state", ["knocking", "held"])
def test_a_chair_outside_the_call_has_no_power(state: str) -> None:
    bench = Bench()
    bench.enter("chair", "patient")
    bench.enter("admin")
    if state == "held":
        bench.do(c.Hold(participant="chair"))
    else:
        bench.drop("chair")
        bench.join("chair", device="2")
    for command in (
        c.Admit(actor="chair", participant="patient"),
        c.End(actor="chair"),
        c.Chat(actor="chair", id="1", text="alo"),
    ):
        assert refusal(bench, command) is ErrorCode.NOT_ADMITTED


def test_only_a_chair_acts_upon_a_chair() -> None:
    bench = everyone_in_the_call()
    for command in (
        c.Hold(actor="nurse", participant="chair"),
        c.Mute(actor="nurse", participant="chair", kinds=("audio",)),
        c.Remove(actor="admin", participant="chair"),
        c.Promote(actor="admin", participant="chair", role="consulting_clinician"),
    ):
        assert refusal(bench, command) is ErrorCode.NOT_ALLOWED
    bench.do(c.Promote(actor="chair", participant="consultant", role="treating_clinician"))
    bench.do(c.Hold(actor="consultant", participant="chair"))
    bench.do(c.Return(actor="nurse", participant="chair"))
    assert bench.state("chair") == "admitted"


@pytest.mark.parametrize(
    "command",
    [
        c.Hold(actor="chair", participant="chair"),
        c.Remove(actor="chair", participant="chair"),
        c.Promote(actor="chair", participant="chair", role="consulting_clinician"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_nobody_does_it_to_themselves(command: c.Command) -> None:
    assert refusal(everyone_in_the_call(), command) is ErrorCode.NOT_ALLOWED


@pytest.mark.parametrize(
    ("who", "role"),
    [
        ("patient", "treating_clinician"),
        ("observer", "treating_clinician"),
        ("observer", "patient"),
        ("interpreter", "admin"),
        ("admin", "treating_clinician"),
    ],
)
def test_no_promotion_beyond_the_table(who: str, role: Role) -> None:
    bench = everyone_in_the_call()
    command = c.Promote(actor="chair", participant=who, role=role)
    assert refusal(bench, command) is ErrorCode.NOT_ALLOWED


def test_a_promoted_observer_keeps_the_role_and_the_link() -> None:
    bench = everyone_in_the_call()
    bench.do(c.Promote(actor="chair", participant="observer", role="consulting_clinician"))
    bench.drop("observer")
    bench.join("observer", device="2")  # the token still says observer, as the invitation does
    assert bench.person("observer").role == "consulting_clinician"


def test_unknown_people_are_said_to_be_unknown() -> None:
    bench = everyone_in_the_call()
    for command in (
        c.Admit(actor="chair", participant="nobody"),
        c.Admit(actor="nobody", participant="patient"),
        c.Chat(id="1", text="from the server, which is nobody"),
    ):
        assert refusal(bench, command) is ErrorCode.PARTICIPANT_UNKNOWN


# ---------------------------------------------------------- links and sessions


def joining(bench: Bench, **changed: object) -> c.Command:
    command = c.Connect(
        invitation="i-patient",
        role="patient",
        session="s",
        secret_sha256="x",
        language="vi",
        node="n",
        connection="w",
    )
    return msgspec.structs.replace(command, **changed)


def test_a_link_in_another_role_is_invalid() -> None:
    bench = Bench()
    assert refusal(bench, joining(bench, role="treating_clinician")) is ErrorCode.TOKEN_INVALID


def test_a_link_that_the_room_does_not_know_is_invalid() -> None:
    bench = Bench()
    assert refusal(bench, joining(bench, invitation="made-up")) is ErrorCode.TOKEN_INVALID


def test_a_link_past_its_time_is_expired() -> None:
    bench = Bench()
    bench.now = bench.room.invitations[-1].expires_at
    assert refusal(bench, joining(bench)) is ErrorCode.TOKEN_EXPIRED


def test_a_link_in_use_on_a_connected_device_is_refused() -> None:
    bench = in_state("admitted")
    assert refusal(bench, joining(bench)) is ErrorCode.INVITATION_IN_USE


def test_a_revoked_link_that_nobody_used_puts_nobody_out() -> None:
    bench = in_state("admitted")
    bench.do(c.Invite(invitation="second", participant="patient", expires_at=bench.now + 60))
    bench.do(c.Revoke(invitation="second"))
    assert bench.state("patient") == "admitted"
    assert refusal(bench, joining(bench, invitation="second")) is ErrorCode.INVITATION_REVOKED


def test_a_resume_keeps_the_place_in_the_call() -> None:
    bench = in_state("admitted")
    before = bench.person("patient")
    bench.drop("patient")
    away = bench.person("patient").session
    assert away
    assert away.away_since == bench.now
    bench.resume("patient")
    after = bench.person("patient")
    assert after.session
    assert (after.session.connection, after.session.node) == ("ws-again", "other-node")
    assert msgspec.structs.replace(after, session=None) == msgspec.structs.replace(
        before, session=None
    )


def test_a_resume_after_the_grace_period_needs_no_admission() -> None:
    bench = in_state("admitted")
    bench.lose("patient")
    session = bench.person("patient").session
    assert session
    assert session.lost
    assert bench.state("patient") == "admitted"
    bench.resume("patient")
    assert bench.room.timeline[-1] == TimelineEntry(
        at=bench.now, what="back", participant="patient"
    )
    session = bench.person("patient").session
    assert session
    assert (session.lost, session.away_since) == (False, None)


def test_the_newest_websocket_speaks_for_a_session() -> None:
    bench = in_state("admitted")
    bench.resume("patient", connection="new")
    bench.do(c.Disconnect(participant="patient", connection="ws-patient-1"))
    session = bench.person("patient").session
    assert session
    assert session.away_since is None, "the old one is gone, the new one is there"


@pytest.mark.parametrize("device", ["2", "someone-else"])
def test_a_wrong_secret_resumes_nothing(device: str) -> None:
    bench = in_state("admitted")
    with pytest.raises(RequestError) as refused:
        bench.resume("patient", device=device)
    assert refused.value.code is ErrorCode.SESSION_UNKNOWN


@pytest.mark.parametrize("state", ["invited", "left", "removed"])
def test_without_a_session_nothing_resumes(state: str) -> None:
    bench = in_state(state)  # type: ignore[arg-type]  # pytest's parameters are not literals
    with pytest.raises(RequestError) as refused:
        bench.resume("patient")
    assert refused.value.code is ErrorCode.SESSION_UNKNOWN


def test_a_stranger_resumes_nothing() -> None:
    bench = Bench()
    command = c.Reconnect(participant="nobody", secret_sha256="x", node="n", connection="w")
    assert refusal(bench, command) is ErrorCode.SESSION_UNKNOWN


def test_nobody_is_lost_within_the_grace_period() -> None:
    bench = in_state("admitted")
    bench.do(c.Lose(participant="patient", grace_s=0))
    bench.drop("patient")
    bench.now += 28
    bench.do(c.Lose(participant="patient", grace_s=30))
    session = bench.person("patient").session
    assert session
    assert not session.lost


def test_a_dead_node_takes_only_its_own_sessions_away() -> None:
    bench = in_state("admitted")
    bench.resume("patient")  # on another node
    bench.do(c.ForgetNode(node="node"))
    away = {
        person.id: person.session.away_since is not None
        for person in bench.room.participants
        if person.session
    }
    assert away == {"chair": True, "patient": False}


# -------------------------------------------------------------- in the call


def test_a_mute_adds_up_and_is_lifted_by_oneself() -> None:
    bench = in_state("admitted")
    bench.do(c.Mute(actor="chair", participant="patient", kinds=("screen",)))
    bench.do(c.Mute(actor="chair", participant="patient", kinds=("audio", "audio")))
    assert bench.person("patient").muted == ("audio", "screen")
    bench.do(c.Unmute(actor="patient"))
    assert bench.person("patient").muted == ()


def test_only_people_in_the_call_are_muted() -> None:
    bench = in_state("waiting")
    command = c.Mute(actor="chair", participant="patient", kinds=("audio",))
    assert refusal(bench, command) is ErrorCode.WRONG_STATE


def test_an_observer_may_raise_a_hand_and_no_more() -> None:
    bench = everyone_in_the_call()
    bench.do(c.RaiseHand(actor="observer", raised=True))
    assert bench.person("observer").hand_raised
    chat = c.Chat(actor="observer", id="1", text="xin phát biểu")
    assert refusal(bench, chat) is ErrorCode.NOT_ALLOWED


def test_media_is_a_persons_own_word() -> None:
    bench = in_state("waiting")
    bench.do(c.SetMedia(actor="patient", media=Media(audio=True)))
    assert bench.person("patient").media == Media(audio=True)


def test_the_same_chat_line_twice_is_one() -> None:
    bench = in_state("admitted")
    line = c.Chat(actor="patient", id="1", text="tôi đau ngực")
    bench.do(line)
    before = bench.room
    bench.do(line)
    assert bench.room is before
    assert [each.text for each in before.chat] == ["tôi đau ngực"]


@pytest.mark.parametrize(
    ("text", "code"), [(" \n", ErrorCode.BAD_MESSAGE), ("x" * 2_001, ErrorCode.TOO_LARGE)]
)
def test_an_empty_or_endless_chat_line_is_refused(text: str, code: ErrorCode) -> None:
    bench = in_state("admitted")
    assert refusal(bench, c.Chat(actor="patient", id="1", text=text)) is code


def test_nobody_takes_the_chat_id_of_somebody_else() -> None:
    bench = in_state("admitted")
    bench.do(c.Chat(actor="patient", id="1", text="một"))
    line = c.Chat(actor="chair", id="1", text="hai")
    assert refusal(bench, line) is ErrorCode.BAD_MESSAGE


@pytest.mark.parametrize("text", ["x", "ế" * 1_000, "\x01" * 1_000], ids=["short", "ế", "control"])
def test_a_chat_ends_before_its_lines_are_too_many_to_send(text: str) -> None:
    bench = in_state("admitted")
    line = ChatLine(id="x" * 64, participant="patient", at=bench.now, text=text)
    sent_bytes = len(msgspec.json.encode(shown(line, {"patient": "Tên patient"}))) + 1
    bench.room = msgspec.structs.replace(bench.room, chat=(line,) * (MAX_CHAT_BYTES // sent_bytes))
    assert refusal(bench, c.Chat(actor="patient", id="y" * 64, text=text)) is ErrorCode.TOO_MANY
    bench.room = msgspec.structs.replace(bench.room, chat=bench.room.chat[1:])
    bench.do(c.Chat(actor="patient", id="y" * 64, text=text))
    assert len(msgspec.json.encode(view(bench.room, "patient").chat)) <= MAX_CHAT_BYTES


def test_a_room_has_an_end() -> None:
    bench = Bench()
    for number in range(MAX_PARTICIPANTS - len(PEOPLE)):
        bench.do(c.AddParticipant(participant=f"p{number}", name="x", role="observer"))
    one_more = c.AddParticipant(participant="one-more", name="x", role="observer")
    assert refusal(bench, one_more) is ErrorCode.ROOM_FULL


def test_a_room_that_was_joined_without_end_takes_no_more() -> None:
    bench = Bench()
    entry = TimelineEntry(at=1.0, what="joined", participant="patient")
    bench.room = msgspec.structs.replace(bench.room, timeline=(entry,) * 10_000)
    assert refusal(bench, joining(bench)) is ErrorCode.TOO_MANY


def test_a_media_host_gives_way_to_a_later_one_only() -> None:
    bench = Bench()
    bench.do(c.HostMedia(url="ws://a", epoch=1))
    assert refusal(bench, c.HostMedia(url="ws://b", epoch=1)) is ErrorCode.WRONG_STATE
    bench.do(c.HostMedia(url="ws://b", epoch=2))
    assert bench.room.media
    assert bench.room.media.url == "ws://b"


def test_apply_leaves_the_version_to_the_store() -> None:
    room = in_state("waiting").room
    after, events = apply(room, c.Admit(participant="patient"), 2e6)
    assert after.version == room.version
    assert after.timeline[-len(events) :] == events
