/*
 * A small game with openScope's interface: `window.aircraftController`, `window.prop`,
 * `#command`, `#score`. Its time comes from the clock, its chance from Math.random, its
 * airports from the server, as there.
 *
 * Commands for tests: "hang" never comes back, "fail" throws.
 */
(() => {
  "use strict";
  const KM_PER_KT_S = 1.852 / 3600;
  const AIRPORTS = ["ksfo", "klas"];
  const RADIUS_KM = 50;
  const MOST_S = 100;

  const game = { rate: 1, last: null, time: 0, next: 0, score: 0, shown: 0, airport: null, count: 0 };
  const controller = { aircraft: { list: [] }, conflicts: [] };
  const between = (low, high) => low + Math.random() * (high - low);

  function spawn() {
    const bearing = between(0, 2 * Math.PI);
    const isArrival = Math.random() < 0.7;
    const distance = isArrival ? RADIUS_KM + 5 : 3;
    const heading = isArrival ? bearing + Math.PI : bearing;
    game.count += 1;
    controller.aircraft.list.push({
      callsign: `STUB${100 + game.count}`,
      category: isArrival ? "arrival" : "departure",
      isControllable: !isArrival,
      hit: false,
      relativePosition: [distance * Math.sin(bearing), distance * Math.cos(bearing)],
      altitude: isArrival ? 11000 : 2000,
      heading,
      groundSpeed: 240,
      trend: 0,
      mcp: { altitude: isArrival ? 11000 : 9000, heading, speed: 240 },
      hidden: { fuel: between(1, 2) },
    });
  }

  function load(icao, isFirst) {
    const request = new XMLHttpRequest();
    request.open("GET", `assets/airports/${icao}.json`);
    request.onload = () => {
      Object.assign(game, { airport: JSON.parse(request.responseText), score: 0 });
      localStorage["atc-last-airport"] = icao;
      controller.aircraft.list.length = 0;
      for (let index = 0; index < game.airport.count; index += 1) spawn();
      game.next = game.time + game.airport.spawn_s;
      if (!isFirst) return;
      window.prop = { version_string: "stub 1" };
      window.aircraftController = controller;
      window.setInterval(() => { game.shown += 1; }, 1000);
      window.requestAnimationFrame(update);
    };
    request.send();
  }

  function approach(value, target, most) {
    return value + Math.max(-most, Math.min(most, target - value));
  }

  function fly(aircraft, delta) {
    const { mcp } = aircraft;
    const turn = Math.atan2(Math.sin(mcp.heading - aircraft.heading), Math.cos(mcp.heading - aircraft.heading));
    const most = delta * 0.05;
    aircraft.heading += Math.max(-most, Math.min(most, turn)) + between(-1, 1) * 1e-4 * game.airport.wind_kt;
    aircraft.trend = Math.sign(mcp.altitude - aircraft.altitude);
    aircraft.altitude = approach(aircraft.altitude, mcp.altitude, delta * 30);
    aircraft.groundSpeed = approach(aircraft.groundSpeed, mcp.speed, delta);
    aircraft.hidden.fuel -= delta * 1e-5;
    const way = aircraft.groundSpeed * KM_PER_KT_S * delta;
    aircraft.relativePosition[0] += way * Math.sin(aircraft.heading);
    aircraft.relativePosition[1] += way * Math.cos(aircraft.heading);
    const distance = Math.hypot(...aircraft.relativePosition);
    aircraft.isControllable = distance < RADIUS_KM;
    return distance;
  }

  /* Say whether an aircraft is done, and count its points. */
  function isDone(aircraft, distance) {
    if (aircraft.category === "arrival" && distance < 5 && aircraft.altitude < 4000) {
      game.score += 10;
      return true;
    }
    if (distance < RADIUS_KM + 10) return false;
    game.score += aircraft.category === "departure" && aircraft.altitude > 8000 ? 10 : -25;
    return true;
  }

  function findConflicts() {
    const { list } = controller.aircraft;
    controller.conflicts = [];
    list.forEach((one, index) => list.slice(index + 1).forEach((other) => {
      const distance = Math.hypot(
        one.relativePosition[0] - other.relativePosition[0],
        one.relativePosition[1] - other.relativePosition[1],
      );
      if (distance < 8 && Math.abs(one.altitude - other.altitude) < 1000) {
        controller.conflicts.push({
          aircraft: [one, other],
          hasConflict: () => true,
          hasViolation: () => distance < 5.5,
        });
      }
    }));
  }

  function update() {
    window.requestAnimationFrame(update);
    const now = new Date().getTime() / 1000;
    const delta = game.last === null ? 0 : Math.min((now - game.last) * game.rate, MOST_S);
    game.last = now;
    game.time += delta;
    if (game.time > game.next) {
      spawn();
      game.next = game.time + between(0.5, 1.5) * game.airport.spawn_s;
    }
    const { list } = controller.aircraft;
    controller.aircraft.list = list.filter((each) => !isDone(each, fly(each, delta)));
    findConflicts();
    document.querySelector("#score").textContent = String(Math.round(game.score));
  }

  function obey(aircraft, word, value) {
    if (word === "fh") aircraft.mcp.heading = (value * Math.PI) / 180;
    else if (word === "a") aircraft.mcp.altitude = value * 100;
    else if (word === "sp") aircraft.mcp.speed = value;
    else throw new Error(`command not understood: ${word}`);
  }

  function command(text) {
    const [first, word, value] = text.trim().toLowerCase().split(" ");
    if (first === "hang") for (;;);
    if (first === "fail") throw new Error("this command fails");
    if (first === "timewarp") {
      game.rate = Number(word);
    } else if (first === "airport") {
      if (AIRPORTS.includes(word)) load(word, false);
    } else {
      const aircraft = controller.aircraft.list.find((each) => each.callsign.toLowerCase() === first);
      if (aircraft) obey(aircraft, word, Number(value));
    }
  }

  const field = document.querySelector("#command");
  let typed = "";
  field.addEventListener("input", () => { typed = field.value; });
  window.addEventListener("keydown", (event) => {
    if (event.code !== "Enter") return;
    command(typed);
    field.value = "";
  });
  window.setTimeout(() => load("ksfo", true), 0);
})();
