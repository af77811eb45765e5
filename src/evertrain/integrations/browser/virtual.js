/*
 * Virtual time and seeded chance for a page: an init script, run before anything of the page.
 *
 * Time stands still until `advance` moves it, from frame to frame. Timers, frames and random
 * numbers follow from the seed and from what was asked of the page, and from nothing else.
 * Requests are real; while one is under way time waits for it, so how long it takes cannot matter.
 *
 * Real all the same are the clocks of workers, time stamps of events, media, and animations of
 * style sheets. A game whose course depends on one of them cannot be played again.
 *
 * options: seed (32 bits), epoch_ms (where time begins, Unix milliseconds, a whole number)
 */
(window, options) => {
  "use strict";
  const TWO_TO_32 = 4294967296;
  const NESTED = 5; // timers nested deeper than this wait 4 ms, as the HTML standard has it
  const CALM = 3; // tasks in a row with nothing to do, after which nothing more is expected
  const IDLE_MS = 50;

  const { document } = window;
  const realTimeout = window.setTimeout.bind(window);
  const timers = new Map(); // id -> { act, args, due, order, period, depth }
  let frames = new Map(); // id -> callback
  let running = new Map(); // the callbacks of the frame that is being drawn
  let now = options.epoch_ms;
  let lastId = 0;
  let depth = 0; // of the timer that is running
  let loading = 0; // requests under way
  const errors = { count: 0, last: "" };

  // Chance: sfc32, filled by splitmix32.
  const words = new Int32Array(4);
  let draws = 0;

  function draw() {
    const sum = (words[0] + words[1] + words[3]) | 0;
    words[3] += 1;
    words[0] = words[1] ^ (words[1] >>> 9);
    words[1] = words[2] + (words[2] << 3);
    words[2] = ((words[2] << 21) | (words[2] >>> 11)) + sum;
    draws += 1;
    return sum >>> 0;
  }

  function seed(value) {
    let state = value | 0;
    for (let index = 0; index < words.length; index += 1) {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      words[index] = mixed ^ (mixed >>> 15);
    }
    for (let round = 0; round < 12; round += 1) draw();
    draws = 0;
  }

  seed(options.seed);
  window.Math.random = () => draw() / TWO_TO_32;
  if (window.crypto) {
    const fill = (array) => {
      const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
      for (let index = 0; index < bytes.length; index += 1) bytes[index] = draw() & 255;
      return array;
    };
    const uuid = () => {
      const hex = Array.from(fill(new Uint8Array(16)), (byte, index) => {
        const marked = { 6: (byte & 15) | 64, 8: (byte & 63) | 128 }[index] ?? byte;
        return marked.toString(16).padStart(2, "0");
      }).join("");
      return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
    };
    Object.defineProperty(window.crypto, "getRandomValues", { value: fill });
    Object.defineProperty(window.crypto, "randomUUID", { value: uuid });
  }

  // Time.
  const RealDate = window.Date;
  const VirtualDate = new Proxy(RealDate, {
    construct: (target, args, self) => Reflect.construct(target, args.length ? args : [now], self),
    apply: () => new RealDate(now).toString(),
    get: (target, name) => (name === "now" ? () => Math.floor(now) : target[name]),
  });
  RealDate.prototype.constructor = VirtualDate;
  window.Date = VirtualDate;
  Object.defineProperty(window.performance, "now", { value: () => now - options.epoch_ms });
  Object.defineProperty(window.performance, "timeOrigin", { value: options.epoch_ms });

  function schedule(act, delay, args, period) {
    lastId += 1;
    const wait = Math.max(depth > NESTED ? 4 : 0, Number(delay) || 0);
    const call = typeof act === "function" ? act : () => window.eval(String(act));
    const timer = { act: call, args, due: now + wait, order: lastId, period, depth: depth + 1 };
    timers.set(lastId, timer);
    return lastId;
  }

  window.setTimeout = (act, delay, ...args) => schedule(act, delay, args, null);
  window.setInterval = (act, delay, ...args) => {
    const period = Math.max(1, Number(delay) || 0);
    return schedule(act, period, args, period);
  };
  window.clearTimeout = (id) => void timers.delete(id);
  window.clearInterval = window.clearTimeout;
  window.requestAnimationFrame = (act) => {
    lastId += 1;
    frames.set(lastId, act);
    return lastId;
  };
  window.cancelAnimationFrame = (id) => void (frames.delete(id) || running.delete(id));
  window.requestIdleCallback = (act) =>
    schedule(() => act({ didTimeout: false, timeRemaining: () => IDLE_MS }), 1, [], null);
  window.cancelIdleCallback = window.clearTimeout;

  // Requests: counted until whoever asked has been told.
  if (window.XMLHttpRequest) {
    const { prototype } = window.XMLHttpRequest;
    const { send } = prototype;
    prototype.send = function counted(...args) {
      let isUnderWay = true;
      const end = () => {
        if (isUnderWay) loading -= 1;
        isUnderWay = false;
      };
      loading += 1;
      this.addEventListener("loadend", end, { once: true });
      try {
        return send.apply(this, args);
      } catch (error) {
        end();
        throw error;
      }
    };
  }
  if (window.fetch) {
    const fetch = window.fetch.bind(window);
    window.fetch = async (...args) => {
      loading += 1;
      try {
        const response = await fetch(...args);
        await response.clone().arrayBuffer(); // its body too
        return response;
      } finally {
        loading -= 1;
      }
    };
  }

  // Errors that nobody caught: a page goes on after them, and so does its time.
  function note(error) {
    errors.count += 1;
    errors.last = String(error).slice(0, 500);
  }

  window.addEventListener("error", (event) => note(event.error ?? event.message));
  window.addEventListener("unhandledrejection", (event) => note(event.reason));

  function call(act, args) {
    try {
      act.apply(window, args);
    } catch (error) {
      note(error);
    }
  }

  // Between two tasks, promises are kept and what the network has brought is delivered.
  const channel = new window.MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => waiting.shift()();
  const breathe = () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      channel.port2.postMessage(0);
    });
  const isLoading = () => loading > 0 || document.readyState !== "complete";

  /* Wait until nothing is under way, and whoever waited for it has been told. */
  async function loaded() {
    for (let calm = 0; calm < CALM; calm += 1) {
      if (isLoading()) {
        await new Promise((resolve) => realTimeout(resolve, 1));
        calm = -1;
      }
      await breathe();
    }
  }

  function earliest() {
    let first = null;
    for (const [id, timer] of timers) {
      const isFirst = !first || timer.due < first.timer.due
        || (timer.due === first.timer.due && timer.order < first.timer.order);
      if (isFirst) first = { id, timer };
    }
    return first;
  }

  /* Run the timers that are due until a time, each at its own. Return how many there were. */
  async function runTimers(until) {
    let count = 0;
    for (let first = earliest(); first && first.timer.due <= until; first = earliest()) {
      const { id, timer } = first;
      now = Math.max(now, timer.due);
      timers.delete(id);
      if (timer.period !== null) {
        lastId += 1;
        timers.set(id, { ...timer, due: timer.due + timer.period, order: lastId });
      }
      depth = timer.depth;
      call(timer.act, timer.args);
      count += 1;
      await breathe(); // what it left to microtasks is nested as deeply as itself
      depth = 0;
      if (isLoading()) await loaded();
    }
    return count;
  }

  /* Let the page do all that it can do without time: load, and what is due now. */
  async function settle() {
    do {
      await loaded();
    } while ((await runTimers(now)) > 0);
  }

  /* Let so many frames pass, each so many milliseconds long. */
  async function advance(count, frameMs) {
    for (let frame = 0; frame < count; frame += 1) {
      const end = now + frameMs;
      await runTimers(end);
      now = end;
      running = frames;
      frames = new Map();
      for (const act of running.values()) call(act, [now - options.epoch_ms]);
      await breathe();
      if (isLoading()) await settle();
    }
  }

  /* Numbers that two plays of the same game share, and hardly two others. */
  function position() {
    return [now - options.epoch_ms, draws, ...words, timers.size, frames.size];
  }

  const evertrain = { advance, settle, position, errors };
  Object.defineProperty(window, "evertrain", { value: evertrain });
}
