import assert from 'node:assert/strict';
import { test } from 'node:test';

import { audioCodecs, markScreen, videoCodecs } from '../src/media/sdp.js';

const OFFER = [
  'v=0',
  'a=group:BUNDLE 0 1 10',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=sendonly',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:1',
  'a=sendonly',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:10',
  'a=sendonly',
  '',
].join('\r\n');

const marked = (sdp) =>
  sdp
    .split(/(?=^m=)/m)
    .filter((section) => section.includes('a=content:slides\r\n'))
    .map((section) => /a=mid:(\S+)/.exec(section)[1]);

test('only the section of that mid is marked, wherever it stands', () => {
  assert.deepEqual(marked(markScreen(OFFER, '10')), ['10']);
  assert.deepEqual(marked(markScreen(OFFER, '1')), ['1']);
});

test('marking adds one line and leaves every other as it was', () => {
  const lines = markScreen(OFFER, '1').split('\r\n');
  assert.deepEqual(
    lines.filter((line) => line !== 'a=content:slides'),
    OFFER.split('\r\n'),
  );
  assert.equal(markScreen(markScreen(OFFER, '1'), '1'), markScreen(OFFER, '1'));
});

test('without a screen nothing changes', () => {
  assert.equal(markScreen(OFFER, null), OFFER);
  assert.equal(markScreen(OFFER, '7'), OFFER);
});

const h264 = (profile, mode) => ({
  mimeType: 'video/H264',
  sdpFmtpLine: `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${profile}`,
});

test('VP8 comes first, then H.264 baseline in packetization mode 1, and nothing else', () => {
  const vp8 = { mimeType: 'video/VP8' };
  const wanted = h264('42e01f', 1);
  const codecs = [{ mimeType: 'video/AV1' }, h264('640034', 1), h264('42e01f', 0), wanted, { mimeType: 'video/rtx' }, vp8];
  assert.deepEqual(videoCodecs(codecs), [vp8, wanted]);
  assert.deepEqual(videoCodecs([{ mimeType: 'video/VP9' }]), []);
});

test('audio is Opus alone', () => {
  const opus = { mimeType: 'audio/opus' };
  assert.deepEqual(audioCodecs([{ mimeType: 'audio/red' }, opus, { mimeType: 'audio/PCMU' }]), [opus]);
});
