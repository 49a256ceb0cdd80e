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

const codec = (name, sdpFmtpLine) => ({ mimeType: `video/${name}`, sdpFmtpLine });

test('VP8 comes first, then H.264 baseline, main VP9 and AV1, and what repairs them', () => {
  const wanted = [codec('VP8'), h264('42e01f', 1), codec('VP9', 'profile-id=0'), codec('AV1', 'level-idx=5;profile=0;tier=0'), codec('rtx')];
  const [vp8, baseline, vp9, av1, rtx] = wanted;
  const all = [
    rtx,
    codec('AV1', 'level-idx=5;profile=1;tier=0'),
    av1,
    codec('VP9', 'profile-id=2'),
    vp9,
    h264('640034', 1),
    h264('42001f', 1),
    h264('42e01f', 0),
    baseline,
    codec('red'),
    codec('flexfec-03'),
    vp8,
  ];
  assert.deepEqual(videoCodecs(all), wanted);
});

test('another baseline does where the common one is missing; no profile is the main one', () => {
  const all = [codec('VP9'), codec('AV1'), h264('42001f', 1)];
  assert.deepEqual(videoCodecs(all), [all[2], all[0], all[1]]);
});

test('a browser with none of ours offers what it has', () => {
  assert.deepEqual(videoCodecs([codec('theora'), codec('rtx')]), []);
});

test('audio is Opus alone', () => {
  const opus = { mimeType: 'audio/opus' };
  assert.deepEqual(audioCodecs([{ mimeType: 'audio/red' }, opus, { mimeType: 'audio/PCMU' }]), [opus]);
});
