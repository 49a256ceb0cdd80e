/**
 * Runs in a page before its own scripts: the camera and the microphone that the page gets can be
 * broken from outside, as devices break. `window.device` has a switch for each way.
 */

(() => {
  const media = navigator.mediaDevices;
  const open = media.getUserMedia.bind(media);
  const device = (window.device = {});

  /** A microphone with a hardware switch that nobody is told of: the track lives, and is silent. */
  function microphone(track) {
    const context = new AudioContext();
    const gain = context.createGain();
    const output = context.createMediaStreamDestination();
    context.createMediaStreamSource(new MediaStream([track])).connect(gain).connect(output);
    device.silence = (silent) => {
      gain.gain.value = silent ? 0 : 1;
    };
    return output.stream.getAudioTracks()[0];
  }

  /** A camera whose driver hangs: the track lives, and gives no more frames. */
  async function camera(track) {
    const { width, height } = track.getSettings();
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    const video = Object.assign(document.createElement('video'), {
      srcObject: new MediaStream([track]), muted: true,
    });
    await video.play();
    let frozen = false;
    setInterval(() => {
      if (!frozen) context.drawImage(video, 0, 0, width, height);
    }, 50);
    device.freeze = (on) => {
      frozen = on;
    };
    return canvas.captureStream().getVideoTracks()[0];
  }

  /**
   * Tracks that the browser itself mutes, as it does when the system takes a device away: they are
   * the far end of a connection within the page, whose near end stops.
   */
  async function mutable(stream) {
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    near.onicecandidate = ({ candidate }) => void far.addIceCandidate(candidate ?? undefined);
    far.onicecandidate = ({ candidate }) => void near.addIceCandidate(candidate ?? undefined);
    const negotiate = async () => {
      await near.setLocalDescription();
      await far.setRemoteDescription(near.localDescription);
      await far.setLocalDescription();
      await near.setRemoteDescription(far.localDescription);
    };
    for (const track of stream.getTracks()) {
      near.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    }
    await negotiate();
    device.mute = async (kind, muted) => {
      for (const transceiver of near.getTransceivers()) {
        if (transceiver.sender.track.kind === kind) {
          transceiver.direction = muted ? 'inactive' : 'sendonly';
        }
      }
      await negotiate();
    };
    const tracks = far.getReceivers().map(({ track }) => track);
    await Promise.all(tracks.map((track) => track.muted
      ? new Promise((resolve) => { track.onunmute = resolve; })
      : undefined));
    return tracks;
  }

  media.getUserMedia = async (wanted) => {
    const stream = await open(wanted);
    if (window.mutesDevices) return new MediaStream(await mutable(stream));
    const tracks = stream.getTracks().map((track) =>
      (track.kind === 'audio' ? microphone(track) : camera(track)));
    return new MediaStream(await Promise.all(tracks));
  };
})();
