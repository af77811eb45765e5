/* What virtual.js promises: `node --test --test-force-exit virtual_checks.js`, with its path in VIRTUAL_JS. */
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const { test } = require("node:test");
const vm = require("node:vm");
const { newWindow } = require("./node_host.js");

const SOURCE = fs.readFileSync(process.env.VIRTUAL_JS, "utf8").trimEnd();
const EPOCH_MS = 1700000000000;

/* Return a window with virtual time, and a way to run code in it. */
function page(seed = 1, prepare = () => {}) {
  const window = newWindow();
  prepare(window);
  vm.runInContext(`(${SOURCE})(window, {seed: ${seed}, epoch_ms: ${EPOCH_MS}})`, window);
  const run = (code) => vm.runInContext(code, window);
  return { window, run, time: run("evertrain") };
}

test("time stands still until it is moved", async () => {
  const { run, time } = page();
  await time.settle();
  assert.equal(run("Date.now()"), EPOCH_MS);
  assert.equal(run("new Date().getTime()"), EPOCH_MS);
  assert.equal(run("performance.now()"), 0);
  await time.advance(3, 50);
  assert.equal(run("Date.now()"), EPOCH_MS + 150);
  assert.equal(run("performance.now()"), 150);
});

test("a date is a date all the same", () => {
  const { run } = page();
  assert.equal(run("new Date(5).getTime()"), 5);
  assert.equal(run("new Date(2020, 0, 2).getDate()"), 2);
  assert.equal(run("new Date() instanceof Date"), true);
  assert.equal(run("new (new Date(3).constructor)().getTime()"), EPOCH_MS);
  assert.equal(run("typeof Date()"), "string");
  assert.equal(run("Date.UTC(1970, 0, 1)"), 0);
  assert.equal(run("new (class extends Date {})().getTime()"), EPOCH_MS);
});

test("timers run in the order of their times, each at its own", async () => {
  const { run, time } = page();
  run(`var seen = [];
    setTimeout((name) => seen.push([name, performance.now()]), 30, "late");
    setTimeout(() => seen.push(["early", performance.now()]), 10);
    setTimeout(() => seen.push(["also", performance.now()]), 10);
    const never = setTimeout(() => seen.push("never"), 20);
    clearTimeout(never);`);
  await time.advance(1, 100);
  assert.equal(run("JSON.stringify(seen)"), '[["early",10],["also",10],["late",30]]');
});

test("an interval repeats until it is cleared", async () => {
  const { run, time } = page();
  run("var count = 0; const id = setInterval(() => { count += 1; if (count === 3) clearInterval(id); }, 10);");
  await time.advance(2, 50);
  assert.equal(run("count"), 3);
});

test("timers that start each other take time, and do not stop it", async () => {
  const { run, time } = page();
  run("var count = 0; (function again() { count += 1; setTimeout(again, 0); })();");
  await time.settle();
  const atOnce = run("count");
  await time.advance(1, 40);
  assert.ok(atOnce < 10);
  assert.ok(run("count") > atOnce && run("count") < atOnce + 12);
});

test("a page that waits for timers again and again does not stop it either", async () => {
  const { run, time } = page();
  run(`var count = 0;
    (async () => {
      while (count < 5000) { count += 1; await new Promise((resolve) => setTimeout(resolve, 0)); }
    })();`);
  await time.advance(1, 40);
  assert.ok(run("count") < 30);
});

test("a frame is drawn once, with its time, behind the timers before it", async () => {
  const { run, time } = page();
  run(`var seen = [];
    requestAnimationFrame((at) => { seen.push(at); requestAnimationFrame((next) => seen.push(next)); });
    const never = requestAnimationFrame(() => seen.push("never"));
    requestAnimationFrame(() => cancelAnimationFrame(last));
    const last = requestAnimationFrame(() => seen.push("cancelled in the same frame"));
    cancelAnimationFrame(never);
    setTimeout(() => seen.push("timer"), 50);`);
  await time.advance(3, 50);
  assert.equal(run("JSON.stringify(seen)"), '["timer",50,100]');
});

test("chance follows from the seed", () => {
  const draws = (seed) => page(seed).run("Array.from({length: 1000}, () => Math.random())");
  assert.deepEqual([...draws(7)], [...draws(7)]);
  assert.notDeepEqual([...draws(7)], [...draws(8)]);
  const mean = draws(3).reduce((sum, each) => sum + each) / 1000;
  assert.ok(mean > 0.45 && mean < 0.55);
  assert.equal(new Set(draws(3)).size, 1000);
});

test("so does the chance of cryptography", () => {
  const code = "[...crypto.getRandomValues(new Uint8Array(4))].join() + crypto.randomUUID()";
  assert.equal(page(7).run(code), page(7).run(code));
  assert.notEqual(page(7).run(code), page(8).run(code));
  assert.match(page(7).run("crypto.randomUUID()"), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("time waits for a request, however long it takes", async () => {
  for (const rounds of [0, 1, 50]) {
    const { run, time } = page(1, (window) => {
      window.XMLHttpRequest.prototype.send = function send() {
        let left = rounds;
        const wait = () => (left-- > 0 ? setImmediate(wait) : this.finish());
        setImmediate(wait);
      };
      window.XMLHttpRequest.prototype.finish = function finish() {
        this.onload();
        this.dispatchEvent({ type: "loadend" });
      };
    });
    run(`var arrived = null;
      setTimeout(() => {
        const request = new XMLHttpRequest();
        request.onload = () => { arrived = performance.now(); };
        request.send();
      }, 20);
      setTimeout(() => {}, 30);`);
    await time.advance(4, 50);
    assert.equal(run("arrived"), 20);
  }
});

test("time waits for what was fetched, and for its body", async () => {
  const { run, time } = page(1, (window) => {
    window.fetch = () => new Promise((resolve) => {
      const body = { arrayBuffer: () => new Promise((done) => { setImmediate(done); }) };
      setImmediate(() => resolve({ clone: () => body, json: async () => 5 }));
    });
  });
  run("var arrived = null; setTimeout(async () => { await (await fetch('x')).json(); arrived = performance.now(); }, 20);");
  await time.advance(4, 50);
  assert.equal(run("arrived"), 20);
});

test("promises are kept between two timers", async () => {
  const { run, time } = page();
  run(`var seen = [];
    setTimeout(async () => { await null; await null; seen.push(performance.now()); }, 10);
    setTimeout(() => seen.push("second"), 20);`);
  await time.advance(1, 50);
  assert.equal(run("JSON.stringify(seen)"), '[10,"second"]');
});

test("an error stops nothing, and is counted", async () => {
  const { run, time } = page();
  run("var after = false; setTimeout(() => { throw new Error('boom'); }, 5); setTimeout(() => { after = true; }, 10);");
  await time.advance(1, 50);
  assert.equal(run("after"), true);
  assert.equal(time.errors.count, 1);
  assert.equal(time.errors.last, "Error: boom");
});

test("the position tells two plays apart", async () => {
  const [one, same, other] = [page(1), page(1), page(1)];
  other.run("Math.random()");
  for (const each of [one, same, other]) await each.time.advance(2, 50);
  assert.deepEqual([...one.time.position()], [...same.time.position()]);
  assert.notDeepEqual([...one.time.position()], [...other.time.position()]);
});
