/*
 * A host like evertrain.integrations.browser.host, whose browser is a few lines of Node:
 * the stub game runs in it, with the scripts that a real page would get. It also fails in ways
 * that tests ask for: commands "exit", "stop", "garbage", "leave" (starts a program), and
 * `STUB_GAME_LEAK` in the environment (the wind is what the machine's clock says).
 *
 *     node node_host.js HANDLE TRAINER_PID TRAINER_START DIRECTORY
 */
"use strict";
const childProcess = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const vm = require("node:vm");

const ROOT = path.join(__dirname, "stub_game");
const LINE = Number(process.argv[2]);

class Target {
  #listeners = new Map();

  constructor(parent = null) {
    this.parent = parent;
  }

  addEventListener(type, act) {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), act]);
  }

  dispatchEvent(event) {
    for (const act of this.#listeners.get(event.type) ?? []) {
      try {
        act(event);
      } catch (error) {
        (this.parent ?? this).dispatchEvent({ type: "error", error });
      }
    }
    if (event.bubbles && this.parent) this.parent.dispatchEvent(event);
  }
}

class Event {
  constructor(type, options) {
    Object.assign(this, options, { type });
  }
}

/* Return a window: what the game and our scripts need of one. */
function newWindow() {
  const target = new Target();
  const elements = { "#command": new Target(target), "#score": new Target(target) };

  class XMLHttpRequest extends Target {
    open(method, address) {
      this.address = address;
    }

    send() {
      fs.readFile(path.join(ROOT, this.address), "utf8", (error, text) => {
        this.responseText = process.env.STUB_GAME_LEAK
          ? JSON.stringify({ ...JSON.parse(text), wind_kt: 1 + (process.hrtime()[1] % 1000) })
          : text;
        this.onload();
        this.dispatchEvent({ type: "loadend" });
      });
    }
  }

  const window = vm.createContext({
    Event,
    KeyboardEvent: Event,
    MessageChannel,
    XMLHttpRequest,
    addEventListener: (type, act) => target.addEventListener(type, act),
    crypto: {},
    document: { readyState: "complete", querySelector: (name) => elements[name] ?? null },
    localStorage: {},
    performance: {},
    setTimeout,
  });
  vm.runInContext("globalThis.window = globalThis", window);
  return window;
}

let game = null;

async function begin({ script }) {
  game = newWindow();
  vm.runInContext(script, game);
  vm.runInContext(fs.readFileSync(path.join(ROOT, "game.js"), "utf8"), game);
  return vm.runInContext("evertrain", game).begin();
}

async function act({ command }) {
  if (command === "exit") process.exit(3);
  if (command === "stop") process.kill(process.pid, "SIGSTOP");
  if (command === "garbage") return '{"aircraft": 5}';
  if (command === "leave") {
    const stdio = ["ignore", "ignore", "ignore", LINE]; // it holds the line open, too
    childProcess.spawn("sleep", ["1000"], { detached: true, stdio });
    return vm.runInContext("evertrain", game).act("");
  }
  return vm.runInContext("evertrain", game).act(command);
}

function main() {
  const line = new net.Socket({ fd: LINE });
  let ahead = "";
  let turn = Promise.resolve();

  async function answer(order) {
    try {
      const look = await (order.do === "begin" ? begin(order) : act(order));
      line.write(`{"look": ${look}}\n`);
    } catch (error) {
      line.write(`${JSON.stringify({ error: String(error) })}\n`);
    }
  }

  line.on("data", (data) => {
    ahead += data;
    for (let end = ahead.indexOf("\n"); end >= 0; end = ahead.indexOf("\n")) {
      const order = JSON.parse(ahead.slice(0, end));
      ahead = ahead.slice(end + 1);
      turn = turn.then(() => answer(order));
    }
  });
  line.on("end", () => process.exit(0));
}

module.exports = { newWindow };
if (require.main === module) main();
