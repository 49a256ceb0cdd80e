/**
 * The WebSocket to signalling: says hello, sends signs of life, matches answers to requests, and
 * comes back by itself. Losing it never touches the media.
 */

import { parse, SUBPROTOCOL } from './protocol.js';
import { afterClose, passes } from './reconnect.js';

/** @typedef {import('./protocol.js').ClientMessage} ClientMessage */
/** @typedef {import('./protocol.js').ServerMessage} ServerMessage */
/** @typedef {import('./protocol.js').ErrorMessage} ErrorMessage */
/** @typedef {import('./protocol.js').Done | import('./protocol.js').Answer} Reply */

/** The server did not do what was asked, or could not be asked. */
export class RequestError extends Error {
  /**
   * @param {string} code of the server; `connection_lost`; `abandoned` for another consultation
   * @param {import('./protocol.js').Text | null} text for people
   */
  constructor(code, text) {
    super(code);
    this.code = code;
    this.text = text;
  }
}

/**
 * @typedef {object} Options
 * @property {string} url
 * @property {() => ClientMessage} hello the first message of a new connection
 * @property {(message: ServerMessage) => void} onMessage every message that answers no request
 * @property {(net: 'connecting' | 'open' | 'lost') => void} onNet
 * @property {(error: ErrorMessage) => void} onRefused the hello was refused for good
 */

/**
 * @typedef {object} Waiting
 * @property {ClientMessage} message
 * @property {boolean} repeat ask again after a reconnection: for what may be asked twice
 * @property {(reply: Reply) => void} resolve
 * @property {(error: RequestError) => void} reject
 */

const HELLO_REF = 'hello';
/** A connection that has not said `joined` by then is given up for the next try. */
const HELLO_LIMIT_MS = 12_000;
/** Silence for so many ping intervals is a dead connection, as the server counts it too. */
const SILENT_INTERVALS = 2.5;
/** After a nudge: no answer to a ping or hello by then, and the old path is gone. */
const NUDGE_LIMIT_MS = 3000;
/** More than this waiting for a connection is a person tapping in vain. */
const QUEUE_LIMIT = 50;

/** One connection, kept. */
export class Connection {
  #options;
  /** @type {WebSocket | null} */
  #socket = null;
  #joined = false;
  #stopped = true;
  #attempt = 0;
  #refs = 0;
  /** @type {Map<string, Waiting>} sent, not yet answered */
  #sent = new Map();
  /** @type {Waiting[]} to be sent when the connection stands */
  #queue = [];
  /** @type {ErrorMessage | null} */
  #refusal = null;
  #heardAt = 0;
  #begunAt = 0;
  #ping_interval_ms = 15_000;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pulse;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #doubt;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Connect and say hello anew. Nothing that was asked before is carried over: the hello may be
   * somebody else's, to another consultation.
   */
  open() {
    this.#abandon('abandoned');
    this.#stopped = false;
    this.#attempt = 0;
    this.#connect();
  }

  /** Stop for good; `open` starts again. */
  close() {
    this.#stopped = true;
    this.#abandon('connection_lost');
  }

  /** The server said that this is over: what was still asked needs no answer any more. */
  finish() {
    this.#stopped = true;
    this.#drop();
    this.#sent.clear();
    this.#queue = [];
  }

  /**
   * The device woke up or found a network: don't wait for a timer to notice.
   */
  nudge() {
    if (this.#stopped) return;
    if (this.#socket === null) {
      this.#connect();
      return;
    }
    if (!this.#joined) {
      // Begun on a network that is gone, it would wait for that for long.
      if (performance.now() - this.#begunAt > NUDGE_LIMIT_MS) {
        this.#drop();
        this.#connect();
      }
      return;
    }
    const asked = performance.now();
    this.#beat();
    clearTimeout(this.#doubt);
    this.#doubt = setTimeout(() => {
      if (this.#joined && this.#heardAt < asked) this.#closed(1006);
    }, NUDGE_LIMIT_MS);
  }

  /**
   * Say something that is of use only now, and has no answer.
   *
   * @param {ClientMessage} message
   */
  tell(message) {
    if (this.#joined) this.#post(message, '');
  }

  /**
   * @param {ClientMessage} message
   * @param {{repeat?: boolean}} [how] `repeat` asks again after a lost connection
   * @returns {Promise<Reply>}
   * @throws {RequestError}
   */
  request(message, { repeat = false } = {}) {
    return new Promise((resolve, reject) => {
      const waiting = { message, repeat, resolve, reject };
      if (this.#stopped || this.#queue.length >= QUEUE_LIMIT) this.#fail([waiting]);
      else if (this.#joined) this.#send(waiting);
      else this.#queue.push(waiting);
    });
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#options.onNet(this.#attempt === 0 && this.#heardAt === 0 ? 'connecting' : 'lost');
    this.#refusal = null;
    this.#begunAt = performance.now();
    const socket = new WebSocket(this.#options.url, SUBPROTOCOL);
    this.#socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ ...this.#options.hello(), ref: HELLO_REF }));
    };
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(event.code);
    this.#timer = setTimeout(() => this.#closed(1006), HELLO_LIMIT_MS);
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#heardAt = performance.now();
    const message = parse(data);
    if (message === null) return;
    if (message.type === 'joined') this.#welcome(message.ping_interval_s);
    // Not before: a server in trouble may say `joined` and close at once, again and again.
    if (message.type === 'room') this.#attempt = 0;
    if (message.type === 'error' && message.ref === HELLO_REF) this.#refusal = message;
    const waiting = 'ref' in message ? this.#sent.get(message.ref) : undefined;
    if (waiting === undefined) {
      this.#options.onMessage(message);
      return;
    }
    this.#sent.delete(/** @type {{ref: string}} */ (message).ref);
    if (message.type === 'error') waiting.reject(new RequestError(message.code, message.text));
    else waiting.resolve(/** @type {Reply} */ (message));
  }

  /** @param {number} ping_interval_s */
  #welcome(ping_interval_s) {
    clearTimeout(this.#timer);
    this.#joined = true;
    this.#ping_interval_ms = ping_interval_s * 1000;
    clearInterval(this.#pulse);
    this.#pulse = setInterval(() => this.#beat(), this.#ping_interval_ms);
    this.#options.onNet('open');
    for (const waiting of this.#queue.splice(0)) this.#send(waiting);
  }

  #beat() {
    const silent_ms = performance.now() - this.#heardAt;
    if (silent_ms > this.#ping_interval_ms * SILENT_INTERVALS) this.#closed(1006);
    else this.#post({ type: 'ping' }, '');
  }

  /** @param {Waiting} waiting */
  #send(waiting) {
    this.#refs += 1;
    const ref = `c${this.#refs}`;
    this.#sent.set(ref, waiting);
    this.#post(waiting.message, ref);
  }

  /**
   * @param {ClientMessage} message
   * @param {string} ref
   */
  #post(message, ref) {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ ...message, ref }));
    }
  }

  /** @param {number} code */
  #closed(code) {
    this.#drop();
    const lost = [...this.#sent.values()];
    this.#sent.clear();
    this.#queue.unshift(...lost.filter((waiting) => waiting.repeat));
    this.#fail(lost.filter((waiting) => !waiting.repeat));
    if (this.#stopped) return;
    const refusal = this.#refusal;
    if (refusal !== null && !passes(refusal.code)) {
      this.#stopped = true;
      this.#options.onRefused(refusal);
      return;
    }
    const next = afterClose(refusal === null ? code : 1006, this.#attempt, Math.random());
    if (!next.retry) {
      this.#stopped = true;
      return;
    }
    this.#options.onNet(this.#heardAt === 0 ? 'connecting' : 'lost');
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.#connect(), next.delay_ms);
  }

  /** Let go of the socket at once: a dead network would delay its own close event for long. */
  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
    clearTimeout(this.#doubt);
    this.#joined = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {string} code why nothing asked so far gets an answer */
  #abandon(code) {
    this.#drop();
    const asked = [...this.#sent.values(), ...this.#queue];
    this.#sent.clear();
    this.#queue = [];
    this.#fail(asked, code);
  }

  /**
   * @param {Waiting[]} waiting
   * @param {string} [code]
   */
  #fail(waiting, code = 'connection_lost') {
    for (const { reject } of waiting) reject(new RequestError(code, null));
  }
}
