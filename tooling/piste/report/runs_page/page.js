"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const runs = data.runs;
  const FEW = 50; // rows at first, so that sorting thousands is at once
  const MORE = 200;
  const NONE = "\u2013";
  const WORST = ["failed", "incomparable", "missing", "undecided", "passed"]; // of gates, the worst first
  const $ = (id) => document.getElementById(id);
  const state = { text: "", suite: "", status: "", sort: "date", down: true, chosen: [], shown: FEW };

  // Elements are made, never parsed: whatever a report says stays text.
  function element(name, properties = {}, ...children) {
    const { attributes = {}, ...others } = properties;
    const made = Object.assign(document.createElement(name), others);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children.filter((child) => child !== null && child !== ""));
    return made;
  }

  function drawn(name, attributes, text = "") {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  }

  const small = (text) => element("small", {}, text);
  const known = (value) => value !== null && value !== undefined;
  const number = (value, places = 3) => (known(value) ? value.toFixed(places).replace(/^-(?=.*[1-9])/, "\u2212").replace(/^-/, "") : NONE);
  function signed(value) {
    if (!known(value)) return NONE;
    const near = number(Math.abs(value));
    return (Number(near) === 0 ? "\u00b1" : value < 0 ? "\u2212" : "+") + near;
  }

  const interval = (found, write) => (known(found.low) ? `${write(found.low)} to ${write(found.high)}` : "");
  const title = (run) => run.experiment + (run.variant ? `/${run.variant}` : "") + (run.split ? ` (${run.split})` : "");
  const label = (score) => data.labels[score] || score;
  const against = (run) => (run.against && run.against.scores[run.primary]) || {};
  const suiteName = (run) => `${run.suite}${run.split ? `, ${run.split}` : ""} \u00b7 ${run.suite_digest.slice(0, 12)}`;

  function credits(value) {
    if (!known(value)) return NONE;
    return value > 0 && value < 0.001 ? "under 0.001" : value >= 10 ? value.toFixed(0) : `${Number(value.toPrecision(2))}`;
  }

  const scoreColumn = (score) => ({
    id: `score ${score}`,
    name: label(score),
    number: true,
    value: (run) => (run.scores[score] || {}).mean,
    cell: (run) => {
      const found = run.scores[score];
      return found ? [number(found.mean), small(interval(found, number) || `n ${found.n}`)] : [NONE];
    },
    present: (run) => score in run.scores,
  });

  const text = (id, name, cell = (run) => [run[id] || NONE]) => ({ id, name, value: (run) => run[id] || null, cell });
  const COLUMNS = [
    { id: "experiment", name: "experiment", value: (run) => run.experiment, cell: experimentCell },
    { ...text("variant", "variant", (run) => (run.variant ? breakable(run.variant) : [NONE])), present: (run) => run.variant !== "" },
    text("suite", "suite", (run) => [run.suite, element("small", {}, element("code", {}, run.suite_digest.slice(0, 12)))]),
    { ...text("split", "split"), present: (run) => run.split !== "" },
    ...data.scores.map(scoreColumn),
    {
      id: "difference",
      name: "difference",
      number: true,
      value: (run) => against(run).difference,
      cell: (run) => {
        const found = against(run);
        return known(found.difference) ? [signed(found.difference), small(interval(found, signed))] : [NONE];
      },
    },
    {
      id: "verdict",
      name: "verdict",
      value: (run) => against(run).verdict || null,
      cell: (run) => {
        const verdict = against(run).verdict;
        return [verdict ? element("span", { className: verdict }, verdict) : NONE, run.against ? small(`to ${run.against.title}`) : ""];
      },
    },
    {
      id: "gates",
      name: "gates",
      value: (run) => (run.gates.length ? WORST.findIndex((state) => run.gates.some((gate) => gate.state === state)) : null),
      cell: (run) => (run.gates.length ? standing(run.gates) : [NONE]),
      present: (run) => run.gates.length > 0,
    },
    { id: "credits", name: "credits", number: true, value: (run) => run.credits, cell: (run) => [credits(run.credits)] },
    {
      ...text("date", "date", (run) => [run.date ? run.date.slice(0, 10) : NONE, small(run.date.slice(11, 16) && `${run.date.slice(11, 16)} UTC`)]),
      down: true,
    },
    text("status", "status", (run) => [element("span", { className: run.status }, run.status), small(run.failure)]),
  ];

  // The worst first, as a report has it: "1 failed (waived), 2 passed".
  function standing(gates) {
    const parts = WORST.flatMap((state) => {
      const of = gates.filter((gate) => gate.state === state);
      const waived = of.filter((gate) => gate.waived).length;
      const note = waived ? ` (${waived === of.length ? "" : `${waived} `}waived)` : "";
      return of.length ? [element("span", { className: state }, `${of.length} ${state}${note}`)] : [];
    });
    return parts.flatMap((part, place) => (place ? [", ", part] : [part]));
  }

  function experimentCell(run) {
    const box = element("input", {
      type: "checkbox",
      checked: state.chosen.includes(run.id),
      attributes: { "aria-label": `Compare ${title(run)}` },
    });
    box.addEventListener("change", () => choose(run.id, box.checked));
    const link = element("a", { href: data.base + run.page }, run.experiment);
    const variant = element("small", { className: "narrow" }, ...breakable(run.variant));
    return [element("div", {}, box, element("span", {}, link, variant, small(run.title)))];
  }

  // A long name of a variant may go on below after each of its settings.
  function breakable(name) {
    return name.split(/(?<=,)/).flatMap((part) => [part, element("wbr")]);
  }

  // What is found, in which order

  for (const run of runs) run.words = run.words.toLowerCase();

  function found() {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    return runs.filter(
      (run) =>
        (!state.suite || suiteName(run) === state.suite) &&
        (!state.status || run.status === state.status) &&
        words.every((word) => run.words.includes(word)),
    );
  }

  const collator = new Intl.Collator("en", { numeric: true });

  function sorted(items) {
    const column = COLUMNS.find((one) => one.id === state.sort);
    const sign = state.down ? -1 : 1;
    const keyed = items.map((run) => [column.value(run), run]);
    // What is not known stays last, whichever way the rest is sorted.
    keyed.sort(([a], [b]) => {
      if (!known(a) || !known(b)) return known(b) - known(a);
      return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
    });
    return keyed.map(([, run]) => run);
  }

  // The table

  function head(columns) {
    const cells = columns.map((column) => {
      const sort = state.sort === column.id ? (state.down ? "descending" : "ascending") : "none";
      const button = element("button", { type: "button" }, column.name);
      button.dataset.sort = column.id;
      const attributes = { scope: "col", "aria-sort": sort };
      return element("th", { className: column.number ? "number" : column.id, attributes }, button);
    });
    const focused = document.activeElement && document.activeElement.dataset.sort;
    $("runs").tHead.rows[0].replaceChildren(...cells);
    const again = cells.find((cell) => known(focused) && cell.firstChild.dataset.sort === focused);
    if (again) again.firstChild.focus();
  }

  function row(run, columns) {
    const [first, ...others] = columns;
    const cells = others.map((column) => {
      const className = column.number ? "number" : `text ${column.id}`;
      return element("td", { className }, ...column.cell(run));
    });
    const made = element("tr", {}, element("th", { attributes: { scope: "row" } }, ...first.cell(run)), ...cells);
    made.dataset.id = run.id;
    made.className = state.chosen.includes(run.id) ? "chosen" : "";
    return made;
  }

  function show() {
    const items = found();
    const columns = COLUMNS.filter((column) => !column.present || items.some(column.present));
    const some = sorted(items).slice(0, state.shown);
    head(columns);
    $("runs").tBodies[0].replaceChildren(...some.map((run) => row(run, columns)));
    const all = runs.length === 1 ? "1 run" : `${runs.length.toLocaleString("en")} runs`;
    $("count").textContent = items.length === runs.length ? all : `${items.length.toLocaleString("en")} of ${all}`;
    if (!runs.length) $("count").textContent = "No report is committed yet.";
    $("more").hidden = items.length <= some.length;
    $("more").textContent = `Show more: ${some.length} of ${items.length.toLocaleString("en")} are shown`;
    remember();
  }

  // The comparison

  function choose(id, chosen) {
    state.chosen = state.chosen.filter((one) => one !== id);
    if (chosen) state.chosen = [...state.chosen, id].slice(-2);
    for (const line of $("runs").tBodies[0].rows) {
      const picked = state.chosen.includes(line.dataset.id);
      line.className = picked ? "chosen" : "";
      line.querySelector("input").checked = picked;
    }
    compare();
    if (state.chosen.length === 2) $("comparison").scrollIntoView({ block: "nearest" });
    remember();
  }

  function compare() {
    const panel = $("comparison");
    const [a, b] = state.chosen.map((id) => runs.find((run) => run.id === id));
    panel.hidden = !a;
    if (!a) return panel.replaceChildren();
    const heading = element("h2", { id: "comparison-title", attributes: { role: "status" } });
    heading.textContent = b ? `${title(a)} and ${title(b)}` : `${title(a)}: choose another run to compare it with`;
    const buttons = [button("Clear", () => [...state.chosen].forEach((id) => choose(id, false)))];
    if (b) buttons.unshift(button("Swap", swap));
    const top = element("div", { className: "top" }, heading, element("div", { className: "buttons" }, ...buttons));
    panel.replaceChildren(top, ...(b ? [sides(a, b), notice(a, b), ...scores(a, b), ...settings(a, b)] : []));
  }

  function button(name, action) {
    const made = element("button", { type: "button" }, name);
    made.addEventListener("click", action);
    return made;
  }

  function swap() {
    state.chosen.reverse();
    compare();
    remember();
  }

  function sides(a, b) {
    const side = (run, mark, name) =>
      element(
        "div",
        { className: name },
        element("span", { className: "mark" }, `${mark} `),
        element("a", { href: data.base + run.page }, title(run)),
        small(run.title),
        small([suiteName(run), run.date.slice(0, 10), `${credits(run.credits)} credits`].filter(Boolean).join(" \u00b7 ")),
        element("span", { className: run.status }, [run.status, run.failure].filter(Boolean).join(": ")),
        ...run.gates.map((gate) => small([`${gate.state}: ${gate.said}`, gate.waived].filter(Boolean).join("; "))),
      );
    return element("div", { className: "sides" }, side(a, "A \u25cf", "a"), side(b, "B \u25c6", "b"));
  }

  function notice(a, b) {
    const lines = [];
    if (a.suite_digest !== b.suite_digest) {
      const parts = [
        a.generation_digest !== b.generation_digest ? "in what decides the answers (data, prompt, generation)" : "",
        a.scoring_digest !== b.scoring_digest ? "in how answers are scored" : "",
      ].filter(Boolean);
      const keys = differing(a, b).filter(([, rule]) => rule === "generate" || rule === "score").map(([path]) => path);
      lines.push(`No difference is told: the suites differ ${parts.join(" and ") || "in their digests"}.`);
      if (keys.length) lines.push(`What differs: ${keys.join(", ")}.`);
    } else if (!paired(a, b)) {
      lines.push("These are differences of means. How sure they are takes the samples of both:");
      const name = (run) => run.experiment + (run.variant ? `/${run.variant}` : "");
      const asked = `piste compare ${quoted(name(a))} ${quoted(name(b))}`;
      return element("div", { className: "notice" }, element("p", {}, lines[0], " ", element("code", {}, asked)));
    }
    if (!lines.length) return "";
    return element("div", { className: "notice" }, ...lines.map((line) => element("p", {}, line)));
  }

  const quoted = (name) => (/^[\w./=,+@%-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`);

  // The reports keep the paired comparison of a run with the one that its experiment names.
  function paired(a, b) {
    if (a.against && a.against.run === b.run) return { scores: a.against.scores, sign: 1 };
    if (b.against && b.against.run === a.run) return { scores: b.against.scores, sign: -1 };
    return null;
  }

  function difference(a, b, score) {
    if (a.suite_digest !== b.suite_digest) return null;
    const told = paired(a, b);
    const found = told && told.scores[score];
    if (found && known(found.difference)) {
      const ends = known(found.low) ? [told.sign * found.low, told.sign * found.high].sort((x, y) => x - y) : [null, null];
      const opposite = { improved: "regressed", regressed: "improved" };
      const verdict = told.sign < 0 ? opposite[found.verdict] || found.verdict : found.verdict;
      return { difference: told.sign * found.difference, low: ends[0], high: ends[1], verdict };
    }
    const [ours, theirs] = [a.scores[score], b.scores[score]];
    return ours && theirs ? { difference: ours.mean - theirs.mean, low: null, high: null, verdict: "" } : null;
  }

  function scores(a, b) {
    const names = data.scores.filter((score) => score in a.scores || score in b.scores);
    if (!names.length) return [element("p", {}, "Neither run has a score.")];
    const heads = ["score", "A", "B", "means with 95% intervals", ...(a.suite_digest === b.suite_digest ? ["A \u2212 B"] : [])];
    const body = names.flatMap((score) => scoreRows(a, b, score, heads.length));
    return [element("h3", {}, "Scores"), table("compared scores", heads, body)];
  }

  function scoreRows(a, b, score, width) {
    const [ours, theirs] = [a.scores[score] || {}, b.scores[score] || {}];
    const cells = (one, two) => [
      element("td", { className: "a", attributes: { "data-label": "A" } }, number(one.mean), " ", small(interval(one, number))),
      element("td", { className: "b", attributes: { "data-label": "B" } }, number(two.mean), " ", small(interval(two, number))),
      element("td", { className: "plot" }, plot(one, two, range(ours, theirs), one === ours)),
    ];
    const told = difference(a, b, score);
    const last = told
      ? [signed(told.difference), " ", small(interval(told, signed)), " ", element("span", { className: told.verdict }, told.verdict)]
      : [NONE];
    const rows = [element("tr", {}, rowHead(label(score), ours, theirs), ...cells(ours, theirs), ...(width > 4 ? [differenceCell(last)] : []))];
    const fields = [...new Set([...Object.keys(ours.fields || {}), ...Object.keys(theirs.fields || {})])];
    for (const field of fields) {
      const [one, two] = [ours, theirs].map((side) => ({ mean: (side.fields || {})[field] }));
      const apart = known(one.mean) && known(two.mean) ? signed(one.mean - two.mean) : NONE;
      const tail = width > 4 ? [differenceCell([apart])] : [];
      rows.push(element("tr", { className: "field" }, rowHead(field), ...cells(one, two), ...tail));
    }
    return rows;
  }

  const differenceCell = (children) => element("td", { className: "difference", attributes: { "data-label": "A \u2212 B" } }, ...children);

  function rowHead(name, ours = {}, theirs = {}) {
    const counts = [ours.n, theirs.n].filter(known);
    const n = counts.length ? small(` n ${[...new Set(counts)].join(" and ")}`) : "";
    return element("th", { attributes: { scope: "row" } }, name, n);
  }

  // Most scores are shares of 1; others get a range of their own.
  function range(...sides) {
    const ends = sides.flatMap((side) => [side.mean, side.low, side.high, ...Object.values(side.fields || {})]).filter(known);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    if (!ends.length || (low >= 0 && high <= 1)) return [0, 1];
    const room = (high - low || Math.abs(high) || 1) * 0.1;
    return [low - room, high + room];
  }

  // With intervals and an axis; that of a part has neither, and one line for both.
  function plot(one, two, [from, to], whole) {
    const [width, left, right] = [300, 8, 292];
    const x = (value) => left + ((value - from) / (to - from)) * (right - left);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${whole ? 40 : 18}`, role: "img" });
    const says = (side, mark) => `${mark} ${number(side.mean)}${known(side.low) ? `, ${interval(side, number)}` : ""}`;
    svg.append(drawn("title", {}, `${says(one, "A")}; ${says(two, "B")}`));
    for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
      const value = from + share * (to - from);
      svg.append(drawn("line", { class: "grid", x1: x(value), x2: x(value), y1: 2, y2: whole ? 28 : 16 }));
      if (!whole) continue;
      const at = { start: 0, middle: x(value), end: width }[anchor];
      svg.append(drawn("text", { x: at, y: 39, "text-anchor": anchor }, String(Number(value.toPrecision(3)))));
    }
    for (const [side, name, y] of [[one, "a", 9], [two, "b", whole ? 21 : 9]]) {
      if (known(side.low)) {
        svg.append(drawn("line", { class: name, x1: x(side.low), x2: x(side.high), y1: y, y2: y }));
        for (const end of [side.low, side.high]) {
          svg.append(drawn("line", { class: name, x1: x(end), x2: x(end), y1: y - 4, y2: y + 4 }));
        }
      }
      if (!known(side.mean)) continue;
      const at = x(side.mean);
      const diamond = { class: name, d: `M${at} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z` };
      svg.append(name === "a" ? drawn("circle", { class: name, cx: at, cy: y, r: 4 }) : drawn("path", diamond));
    }
    return svg;
  }

  const settingsOf = (run) => new Map(run.settings.map((place) => [data.settings[place][0], data.settings[place]]));

  function differing(a, b) {
    const [ours, theirs] = [settingsOf(a), settingsOf(b)];
    const paths = [...new Set([...ours.keys(), ...theirs.keys()])].sort();
    const value = (side, path) => (side.has(path) ? side.get(path)[2] : null);
    return paths
      .map((path) => [path, (ours.get(path) || theirs.get(path))[1], value(ours, path), value(theirs, path)])
      .filter(([, , one, two]) => one !== two);
  }

  function settings(a, b) {
    const found = differing(a, b);
    if (!found.length) return [element("h3", {}, "Settings"), element("p", {}, "No setting differs.")];
    const cell = (value, mark) =>
      element("td", { attributes: { "data-label": mark } }, element("div", {}, value === null ? NONE : value));
    const body = found.map(([path, , one, two]) =>
      element("tr", {}, element("th", { attributes: { scope: "row" } }, element("code", {}, path)), cell(one, "A"), cell(two, "B")),
    );
    return [element("h3", {}, "Settings that differ"), table("compared settings", ["setting", "A", "B"], body)];
  }

  function table(className, heads, body) {
    const cells = heads.map((name) => element("th", { attributes: { scope: "col" } }, name));
    const made = element("table", { className }, element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...body));
    return element("div", { className: "wide-table" }, made);
  }

  // What is shown stands in the address, so that a link shows it to others.

  function remember() {
    const kept = new URLSearchParams();
    for (const key of ["text", "suite", "status"]) if (state[key]) kept.set(key, state[key]);
    if (state.sort !== "date" || !state.down) kept.set("sort", (state.down ? "-" : "") + state.sort);
    state.chosen.forEach((id, place) => kept.set("ab"[place], id));
    const hash = kept.toString();
    if (location.hash.slice(1) !== hash) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const key of ["text", "suite", "status"]) state[key] = kept.get(key) || "";
    const sort = kept.get("sort") || "-date";
    const id = sort.replace(/^-/, "");
    if (COLUMNS.some((column) => column.id === id)) Object.assign(state, { sort: id, down: sort.startsWith("-") });
    state.chosen = ["a", "b"].map((key) => kept.get(key)).filter((one) => runs.some((run) => run.id === one));
    for (const key of ["text", "suite", "status"]) {
      $(key).value = state[key];
      state[key] = $(key).value;
    }
  }

  function options(select, all, values) {
    select.append(element("option", { value: "" }, all));
    for (const value of [...new Set(values)].sort(collator.compare)) select.append(element("option", { value }, value));
  }

  function begin() {
    options($("suite"), "all suites", runs.map(suiteName));
    options($("status"), "all", runs.map((run) => run.status));
    for (const key of ["text", "suite", "status"]) {
      $(key).addEventListener("input", () => {
        Object.assign(state, { [key]: $(key).value, shown: FEW });
        show();
      });
    }
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    $("reset").addEventListener("click", () => {
      for (const key of ["text", "suite", "status"]) state[key] = $(key).value = "";
      show();
    });
    $("runs").tHead.addEventListener("click", (event) => {
      const id = event.target.dataset.sort;
      if (!id) return;
      const column = COLUMNS.find((one) => one.id === id);
      state.down = state.sort === id ? !state.down : Boolean(column.number || column.down);
      state.sort = id;
      state.shown = FEW;
      show();
    });
    $("more").addEventListener("click", () => {
      state.shown += MORE;
      show();
    });
    window.addEventListener("hashchange", restore);
    restore();
    document.querySelector("main").hidden = false;
  }

  function restore() {
    recall();
    compare();
    show();
  }

  begin();
})();
