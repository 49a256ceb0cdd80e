// A small real WebSocket server (RFC 6455) for tests of the connection: short unmasked text frames.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * @param {(message: object, peer: {send: (message: object) => void, close: (code: number) => void,
 *   cut: () => void}, index: number) => void} onMessage `index` counts connections from 0
 */
export async function listen(onMessage) {
  const sockets = new Set();
  let connections = 0;
  const server = createServer();
  server.on('upgrade', (request, socket) => {
    const index = connections++;
    sockets.add(socket);
    const key = createHash('sha1').update(request.headers['sec-websocket-key'] + GUID).digest('base64');
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${key}\r\nSec-WebSocket-Protocol: ${request.headers['sec-websocket-protocol']}\r\n\r\n`,
    );
    const peer = {
      send: (message) => socket.write(frame(1, Buffer.from(JSON.stringify(message)))),
      close: (code) => socket.end(frame(8, Buffer.from([code >> 8, code & 255]))),
      cut: () => socket.destroy(),
    };
    let rest = Buffer.alloc(0);
    socket.on('data', (data) => {
      rest = Buffer.concat([rest, data]);
      for (let read = unframe(rest); read !== null; read = unframe(rest)) {
        rest = rest.subarray(read.length);
        if (read.opcode === 1) onMessage(JSON.parse(read.payload.toString()), peer, index);
      }
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${server.address().port}/v1/ws`,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function frame(opcode, payload) {
  const size =
    payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([0x80 | opcode, ...size]), payload]);
}

/** The first masked frame of `data` (RFC 6455 §5.2), or null when it is not all there yet. */
function unframe(data) {
  if (data.length < 2) return null;
  const short = data[1] & 127;
  const head = short === 126 ? 4 : 2;
  if (data.length < head + 4) return null;
  const size = short === 126 ? data.readUInt16BE(2) : short;
  if (data.length < head + 4 + size) return null;
  const mask = data.subarray(head, head + 4);
  const payload = Buffer.from(data.subarray(head + 4, head + 4 + size)).map((byte, at) => byte ^ mask[at % 4]);
  return { opcode: data[0] & 15, payload, length: head + 4 + size };
}
