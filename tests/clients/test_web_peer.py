"""The web client's media connection in a real Chromium, against a second connection of the page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

from msgspec import Meta
from playwright.async_api import Page

from signaling.protocol.messages import Sdp
from tests.support.eventually import eventually

MOST_SEATS = 16
QUARTER_PX = 1280 // 4
LARGEST_OFFER_CHARS = next(rule.max_length for rule in get_args(Sdp) if isinstance(rule, Meta))

# A moving picture of a size, our Peer that sends it as its camera, and an answerer that takes all
# three layers, as our SFU does; `simulcast: false` takes one.
_CONNECT = """async ({ width, height, seats, simulcast }) => {
  const { Peer } = await import('/src/media/peer.js');
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d');
  let turn = 0;
  setInterval(() => {
    context.fillStyle = `hsl(${turn++ % 360} 80% 50%)`;
    context.fillRect(0, 0, width, height);
  }, 66);
  const answerer = new RTCPeerConnection();
  const gathered = () => new Promise((resolve) => {
    const look = () => answerer.iceGatheringState === 'complete' && resolve();
    answerer.onicegatheringstatechange = look;
    look();
  });
  const layers = ['rid:q recv', 'rid:h recv', 'rid:f recv', 'simulcast:recv q;h;f']
    .map((line) => `a=${line}\\r\\n`).join('');
  window.offers = [];
  window.refusals = 0;
  const offer = async (sdp) => {
    window.offers.push(sdp);
    if (window.refusals-- > 0) throw new Error('refused');
    await answerer.setRemoteDescription({ type: 'offer', sdp });
    await answerer.setLocalDescription();
    await gathered();
    const sections = answerer.localDescription.sdp.split(/(?=^m=)/m);
    const takes = (section) =>
      simulcast && section.startsWith('m=video') && section.includes('a=mid:0\\r');
    const sdpWithLayers = sections.map((one) => (takes(one) ? one + layers : one)).join('');
    return { sdp: sdpWithLayers };
  };
  const nothing = () => undefined;
  const options = { ice_servers: [], simulcast: true, offer, onState: nothing, onPath: nothing };
  window.peer = new Peer(options);
  window.camera = canvas.captureStream(15).getVideoTracks()[0];
  await window.peer.send('video', window.camera);
  window.peer.grow(seats);
  await window.peer.negotiate();
}"""

# Packets so far by rid, and the width of what is encoded.
_SENT = """async () => {
  const rows = [...(await window.peer.stats()).values()];
  const sent = rows.filter(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
  return Object.fromEntries(
    sent.map(({ rid, packetsSent, frameWidth }) => [rid ?? '', [packetsSent, frameWidth ?? 0]]),
  );
}"""

_FIRST_AND_LAST = "() => [window.offers.at(0), window.offers.at(-1)]"

Sent = dict[str, tuple[int, int]]


async def connect(page: Page, **how: Any) -> None:
    """A Peer that sends a camera, connected; see `_CONNECT`."""
    settings = {"width": 1280, "height": 720, "seats": 1, "simulcast": True}
    await page.evaluate(_CONNECT, settings | how)


async def sent(page: Page) -> Sent:
    """What goes out, by RID."""
    return {rid: tuple(row) for rid, row in (await page.evaluate(_SENT)).items()}


async def flows(page: Page, wanted: set[str], *, within_s: float = 15) -> None:
    """Wait until exactly these encodings send packets."""

    async def complaint() -> str | None:
        before = await sent(page)
        await page.evaluate("() => new Promise((done) => setTimeout(done, 400))")
        now = await sent(page)
        moving = {rid for rid, (count, _) in now.items() if count > before.get(rid, (0, 0))[0]}
        return None if moving == wanted else f"{sorted(moving)} are sent"

    await eventually(complaint, within_s=within_s)


async def are_halves(page: Page, *rids: str) -> None:
    """Wait until each of these is half as wide as the next; a busy machine makes all smaller."""

    async def complaint() -> str | None:
        rows = await sent(page)
        widths = [rows[rid][1] for rid in rids]
        halves = all(width * 2 == twice for width, twice in pairwise(widths))
        return None if halves and widths[0] > 0 else f"{rids} are {widths} wide"

    await eventually(complaint)


async def choose(page: Page, **active: bool) -> None:
    """The server's word on each encoding."""
    layers = [{"rid": rid, "active": on} for rid, on in active.items()]
    await page.evaluate("(layers) => window.peer.choose('video', layers)", layers)


async def test_camera__good__is_sent_in_three_sizes_and_stopped_by_layer(page: Page) -> None:
    await connect(page)
    await flows(page, {"q", "h", "f"})
    await are_halves(page, "q", "h", "f")
    await choose(page, q=True, h=False, f=False)
    await flows(page, {"q"}, within_s=5)
    await choose(page, q=False, h=False, f=False)
    await flows(page, set(), within_s=5)
    await choose(page, q=True, h=True, f=True)
    await flows(page, {"q", "h", "f"})


async def test_layers__during_negotiation_and_track_changes__newest_word_wins(page: Page) -> None:
    await connect(page)
    await flows(page, {"q", "h", "f"})
    await page.evaluate("""async () => {
      const { peer, camera } = window;
      const layers = (wanted) => ['q', 'h', 'f'].map((rid) => ({ rid, active: rid === wanted }));
      peer.choose('video', layers('q'));
      const negotiated = peer.negotiate({ restart: true });
      peer.choose('video', layers('f'));
      const changed = [peer.send('video', null), peer.send('video', camera)];
      peer.choose('video', layers('h'));
      await Promise.all([negotiated, ...changed]);
    }""")
    await flows(page, {"h"}, within_s=5)


async def test_camera__small__always_sends_its_whole_picture(page: Page) -> None:
    await connect(page, width=640, height=360)
    await flows(page, {"q", "h"})
    await are_halves(page, "q", "h")
    await choose(page, q=False, h=False, f=True)
    await flows(page, {"h"}, within_s=5)


async def test_simulcast__refused_by_the_answer__one_whole_picture_is_sent(page: Page) -> None:
    await connect(page, simulcast=False)

    async def complaint() -> str | None:
        scales = await page.evaluate(
            "() => window.peer.pc.getSenders()[0].getParameters().encodings"
            ".map(({ scaleResolutionDownBy }) => scaleResolutionDownBy)"
        )
        widest = max((width for count, width in (await sent(page)).values() if count), default=0)
        # Not 1280: a busy machine may send less of it than it could.
        whole = scales == [1] and widest > QUARTER_PX
        return None if whole else f"scaled by {scales}, {widest} wide"

    await eventually(complaint, within_s=15)


async def test_offer__refused_while_connected__media_go_on_and_the_next_is_answered(
    page: Page,
) -> None:
    await connect(page)
    await flows(page, {"q", "h", "f"})
    await page.evaluate("""async () => {
      window.refusals = 2;
      window.peer.grow(3);
      await window.peer.negotiate().catch(() => undefined);
      await window.peer.negotiate({ restart: true }).catch(() => undefined);
    }""")
    assert await page.evaluate("window.refusals") == 0
    await flows(page, {"q", "h", "f"})
    states = await page.evaluate("""async () => {
      await window.peer.negotiate();
      return [window.peer.pc.connectionState, window.peer.pc.signalingState];
    }""")
    assert states == ["connected", "stable"]
    first, last = (offered.count("m=") for offered in await page.evaluate(_FIRST_AND_LAST))
    assert last == first + 4
    await flows(page, {"q", "h", "f"})


async def test_offer__of_all_seats_and_a_screen__is_one_that_the_server_reads(page: Page) -> None:
    await connect(page, seats=MOST_SEATS)
    await page.evaluate("""async () => {
      await window.peer.send('screen', window.camera.clone());
      await window.peer.negotiate();
    }""")
    longest = await page.evaluate("() => Math.max(...window.offers.map(({ length }) => length))")
    assert LARGEST_OFFER_CHARS is not None
    assert longest <= LARGEST_OFFER_CHARS
    codecs = await page.evaluate("""() => {
      const seat = window.offers.at(-1).split(/(?=^m=)/m).at(-2);
      return [...new Set([...seat.matchAll(/^a=rtpmap:\\d+ ([^/]+)/gm)].map(([, name]) => name))];
    }""")
    assert codecs == ["VP8", "rtx", "H264", "VP9", "AV1"]
