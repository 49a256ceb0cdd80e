"""Parts of the page by themselves, in a real Chromium: what an eye and a screen reader get."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

# Cards of faults in a page of their own, for a consultation of "me" and An.
_TROUBLES = """async () => {
  const { Troubles } = await import('/src/views/troubles.js');
  const { INITIAL, Store } = await import('/src/store.js');
  const store = new Store(INITIAL);
  const view = new Troubles({ store });
  document.body.replaceChildren(view.element);
  const people = { an: { id: 'an', name: 'An', title: '', permissions: [] } };
  window.told = (...codes) => {
    const text = { vi: 'Chưa nghe', en: 'Not heard' };
    const faults = codes.map((code, at) => ({ participant: 'an', code, since: 7 + at, text }));
    const me = { participant: 'me' };
    store.set({ room: { ...store.get().room, me, people, faults } });
    view.update(store.get());
    return view.element.children.length;
  };
}"""

# One seat's tile, on which An sits.
_TILE = """async ({ connection, codes }) => {
  const { SeatTile } = await import('/src/views/seat_tile.js');
  const { INITIAL } = await import('/src/store.js');
  const nothing = () => undefined;
  const tile = new SeatTile(0, new MediaStream(), { onPin: nothing, onBlocked: nothing });
  const media = { audio: true, video: true, screen: false };
  const an = {
    id: 'an', name: 'An', title: '', role: 'patient', connection, media, muted: [],
    hand_raised: false,
  };
  const faults = codes.map((code) => ({ participant: 'an', code }));
  const app = { ...INITIAL, room: { ...INITIAL.room, faults } };
  tile.update({ participant: 'an', source: 'an/camera', screen: false }, an, app, null);
  return tile.element.getAttribute('aria-label');
}"""


async def test_troubles__one_that_was_read__stays_away_when_all_are_told_again(page: Page) -> None:
    await page.evaluate(_TROUBLES)
    assert await page.evaluate("window.told('microphone_muted')") == 1
    await page.locator(".trouble .icon-button").click()
    assert await page.evaluate("window.told()") == 0
    assert await page.evaluate("window.told('microphone_muted')") == 0
    assert await page.evaluate("window.told('microphone_muted', 'camera_muted')") == 1


async def test_troubles__none__are_still_a_log_that_is_listened_to(page: Page, site: str) -> None:
    await page.goto(site)
    await page.evaluate(_TROUBLES)
    assert await page.get_by_role("log").count() == 1


@pytest.mark.parametrize(
    ("connection", "codes", "words"),
    [
        ("connected", [], None),
        ("lost", [], "Mất kết nối"),
        ("connected", ["microphone_silent"], "Chưa nhận được tiếng"),
        ("connected", ["camera_frozen"], "Hình bị đứng"),
    ],
)
async def test_tile__is_named_by_what_is_wrong_with_it(
    page: Page, connection: str, codes: list[str], words: str | None
) -> None:
    label = await page.evaluate(_TILE, {"connection": connection, "codes": codes})
    notes = {"Mất kết nối", "Chưa nhận được tiếng", "Hình bị đứng"}
    assert {note for note in notes if note in label} == ({words} if words else set())
