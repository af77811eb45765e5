/*
 * What an environment asks of openScope, on top of virtual.js: `begin`, then `act` for each step.
 * Both answer what is to be seen as JSON text: equal texts, equal games.
 *
 * options: airport (ICAO code in small letters, or null for the one that it opens with),
 *   timewarp, frame_ms (virtual milliseconds from frame to frame), frames (of one action)
 */
(window, options) => {
  "use strict";
  const BOOT_FRAMES = 600;
  const LAST_AIRPORT = "atc-last-airport"; // where the game remembers it
  const DEPTH = 2;

  const { document, evertrain } = window;
  const commandField = () => document.querySelector("#command");
  const isReady = () => Boolean(window.aircraftController?.aircraft?.list && commandField());

  /* Type a command, as a person does. */
  function tell(command) {
    const field = commandField();
    const enter = { key: "Enter", code: "Enter", keyCode: 13, which: 13 };
    field.value = command;
    field.dispatchEvent(new window.Event("input", { bubbles: true }));
    field.dispatchEvent(new window.KeyboardEvent("keydown", { ...enter, bubbles: true }));
  }

  /* A hash (FNV-1a, 32 bits) of the plain values in something, to some depth. */
  function fold(hash, value, depth) {
    if (value !== null && typeof value === "object") {
      if (depth === 0) return hash;
      let folded = hash;
      for (const key of Object.keys(value)) {
        folded = fold(fold(folded, key, 0), value[key], depth - 1);
      }
      return folded;
    }
    if (typeof value === "function") return hash;
    let folded = hash;
    for (const letter of `${String(value)};`) {
      folded = Math.imul(folded ^ letter.codePointAt(0), 0x01000193);
    }
    return folded >>> 0;
  }

  function seen(aircraft) {
    return {
      callsign: aircraft.callsign,
      is_arrival: aircraft.category === "arrival",
      is_controllable: Boolean(aircraft.isControllable),
      is_hit: Boolean(aircraft.hit),
      position_km: [aircraft.relativePosition[0], aircraft.relativePosition[1]],
      altitude_ft: aircraft.altitude,
      heading_rad: aircraft.heading,
      ground_speed_kt: aircraft.groundSpeed,
      trend: aircraft.trend,
      told: [aircraft.mcp?.altitude, aircraft.mcp?.heading, aircraft.mcp?.speed].map(
        (each) => (Number.isFinite(each) ? each : null),
      ),
    };
  }

  function look() {
    const { aircraft, conflicts } = window.aircraftController;
    const { list } = aircraft;
    return JSON.stringify({
      aircraft: list.map(seen),
      conflicts: conflicts
        .filter((each) => each.hasConflict() || each.hasViolation())
        .map((each) => [...each.aircraft.map((one) => list.indexOf(one)), each.hasViolation()]),
      score: Number(document.querySelector("#score")?.textContent) || 0,
      version: String(window.prop?.version_string ?? ""),
      errors: evertrain.errors,
      position: [...evertrain.position(), fold(0x811c9dc5, list, DEPTH + 1)],
    });
  }

  evertrain.begin = async () => {
    await evertrain.settle();
    for (let frame = 0; !isReady(); frame += 1) {
      if (frame === BOOT_FRAMES) {
        throw new Error("no #command and no aircraftController on this page: is it openScope?");
      }
      await evertrain.advance(1, options.frame_ms);
      await evertrain.settle();
    }
    if (options.airport !== null) {
      tell(`airport ${options.airport}`);
      await evertrain.settle();
      const there = window.localStorage?.[LAST_AIRPORT];
      if (there !== undefined && there !== options.airport) {
        throw new Error(`this game has no airport ${options.airport}, it stayed at ${there}`);
      }
    }
    tell(`timewarp ${options.timewarp}`);
    await evertrain.advance(1, options.frame_ms);
    return look();
  };

  evertrain.act = async (command) => {
    if (command) tell(command);
    await evertrain.advance(options.frames, options.frame_ms);
    return look();
  };
}
