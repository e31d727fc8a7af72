// Shows what /v1/events sends. An element that shows a figure names its place in that document (`data-path`, a JSON pointer)
// and how it is written (`data-kind`); nothing is computed here but the way a figure is written.

const NONE = "–";
const RECENT = 25;

const number = (digits) => new Intl.NumberFormat("en-US", { maximumFractionDigits: digits });
const whole = number(0);
const fine = number(3);

const kinds = {
  text: String,
  count: (value) => whole.format(value),
  rate: (value) => fine.format(value),
  share: (value) => `${number(2).format(value * 100)} %`,
  ms: (value) => `${number(value < 10 ? 3 : 1).format(value)} ms`,
  usd: (value) => `${value} USD`,
  hash: (value) => `${value.slice(0, 16)}…`,
  truth: (value) => (value ? "yes" : "no"),
  time: (value) => new Date(value).toISOString().replace("T", " ").slice(0, 19) + " UTC",
  age: (value) => `${number(1).format(value / 1000)} s ago`,
  bytes: (value) => {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (value >= 1000 && unit < units.length - 1) {
      value /= 1000;
      unit += 1;
    }
    return `${number(2).format(value)} ${units[unit]}`;
  },
};

const escape = (key) => key.replaceAll("~", "~0").replaceAll("/", "~1");
const unescape = (key) => key.replaceAll("~1", "/").replaceAll("~0", "~");

/** The value at a JSON pointer, if it is there. */
const at = (figures, path) =>
  path.split("/").slice(1).reduce((value, key) => value?.[unescape(key)], figures);

const element = (id) => document.getElementById(id);

/** Changes a text only when it is another: a selection, and a screen reader's place, stay. */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function show(target, figures) {
  const { path, kind } = target.dataset;
  const value = at(figures, path);
  write(target, value === undefined || value === null ? NONE : kinds[kind](value));
  if (kind === "truth" && target.tagName === "DD") target.className = value === false ? "bad" : "";
}

/** Gives a table one row for each key; a cell is a path and a kind. The first is the row's header. */
function rows(id, keys, cells) {
  const body = element(id);
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  for (const key of keys) {
    const row = known.get(key) ?? document.createElement("tr");
    known.delete(key);
    row.dataset.key = key;
    cells(key).forEach(([path, kind, text], column) => {
      const cell = row.cells[column] ?? document.createElement(column === 0 ? "th" : "td");
      if (column === 0) cell.scope = "row";
      if (text === undefined) {
        cell.dataset.path = path;
        cell.dataset.kind = kind;
      } else {
        write(cell, text);
      }
      if (!cell.isConnected) row.append(cell);
    });
    body.append(row);
  }
  known.forEach((row) => row.remove());
}

function actions(figures) {
  const span = element("window").value;
  const budgets = figures.pipeline.budgets;
  const names = figures.actions.map((action) => action.name);
  const others = Object.keys(figures.profile.actions).filter((name) => !names.includes(name));
  rows("action-rows", [...names, ...others], (name) => {
    const window = `/profile/actions/${escape(name)}/windows/${span}`;
    const budget = budgets.findIndex((budget) => budget.action === name);
    const money = `/pipeline/budgets/${budget}`;
    return [
      ["", "text", name],
      [`${window}/requests`, "count"],
      [`${window}/requests_per_second`, "rate"],
      [`${window}/duration/p50_ms`, "ms"],
      [`${window}/duration/p90_ms`, "ms"],
      [`${window}/duration/p99_ms`, "ms"],
      [`${window}/error_rate`, "share"],
      [`${window}/cache_hit_rate`, "share"],
      [`${window}/bytes`, "bytes"],
      [`${money}/day_usd`, "usd"],
      [`${money}/limits/daily_usd`, "usd"],
    ];
  });
}

function budgets(figures) {
  const all = figures.pipeline.budgets;
  rows("budget-rows", all.map((_, place) => String(place)), (place) => {
    const budget = `/pipeline/budgets/${place}`;
    return [
      ["", "text", all[place].action ?? "all actions"],
      [`${budget}/day_usd`, "usd"],
      [`${budget}/limits/daily_usd`, "usd"],
      [`${budget}/month_usd`, "usd"],
      [`${budget}/limits/monthly_usd`, "usd"],
    ];
  });
  const whole = figures.pipeline.budgets_are_whole;
  write(element("budgets-note"), whole ? "" : "There is no limit, so only what was spent since the start is known.");
}

function recent(figures) {
  const entries = figures.profile.recent_entries;
  const places = entries.map((_, place) => String(place)).reverse().slice(0, RECENT);
  rows("recent-rows", places, (place) => {
    const entry = `/profile/recent_entries/${place}`;
    return [
      [`${entry}/at_unix_ms`, "time"],
      [`${entry}/action`, "text"],
      [`${entry}/code`, "text"],
      [`${entry}/duration_ms`, "ms"],
      [`${entry}/rows`, "count"],
      [`${entry}/bytes`, "bytes"],
      [`${entry}/cache_hit`, "truth"],
    ];
  });
}

function parts(figures) {
  const lines = figures.parts.flatMap((part) => {
    const name = document.createElement("dt");
    name.textContent = part.part;
    const state = document.createElement("dd");
    state.textContent = part.up ? "up" : `down: ${part.detail}`;
    state.className = part.up ? "good" : "bad";
    return [name, state];
  });
  element("parts").replaceChildren(...lines);
  const warnings = element("warnings");
  warnings.hidden = figures.warnings.length === 0;
  warnings.replaceChildren(...figures.warnings.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
  const readiness = element("readiness");
  write(readiness, figures.unready_reason === null ? "ready" : `not ready: ${figures.unready_reason}`);
  readiness.className = figures.unready_reason === null ? "good" : "bad";
}

function meter(id, value, most) {
  const target = element(id);
  target.max = most;
  target.high = most * 0.8;
  target.value = value;
}

let last;

function draw(figures) {
  last = figures;
  actions(figures);
  budgets(figures);
  recent(figures);
  parts(figures);
  rows("error-rows", Object.keys(figures.profile.errors), (code) => [
    ["", "text", code],
    [`/profile/errors/${escape(code)}`, "count"],
  ]);
  rows("hot-rows", Object.keys(figures.pipeline.hot), (name) => {
    const hot = `/pipeline/hot/${escape(name)}`;
    return [
      ["", "text", name],
      [`${hot}/resident`, "count"],
      [`${hot}/bytes`, "bytes"],
      [`${hot}/age_ms`, "age"],
      [`${hot}/stale`, "count"],
    ];
  });
  meter("executions", figures.genesys.concurrent_executions, figures.genesys.limit);
  meter("hot-memory", figures.pipeline.hot_bytes, figures.pipeline.hot_limit_bytes);
  element("verify").disabled = figures.is_verifying;
  document.querySelectorAll("[data-path]").forEach((target) => show(target, figures));
}

element("window").addEventListener("change", () => last && draw(last));

element("verify").addEventListener("click", async () => {
  const result = element("verify-result");
  result.textContent = "verifying";
  const answer = await fetch("v1/audit/verify", { method: "POST" });
  const found = await answer.json();
  result.textContent = answer.ok ? (found.problem ?? "") : found.error.message;
});

const events = new EventSource("v1/events");
events.onmessage = (event) => {
  write(element("connection"), "");
  draw(JSON.parse(event.data));
};
events.onerror = () => write(element("connection"), "(the server does not answer: these are its last figures)");
