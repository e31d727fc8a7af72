// Opens the dashboard in a real browser and holds every figure on it against what the API says.
//
// node dashboard.cjs CHROMIUM DASHBOARD-URL ACTION-URL KEY FOLDER-FOR-PICTURES

"use strict";
const assert = require("node:assert");
const { setTimeout: wait } = require("node:timers/promises");
const { Browser } = require("./browser.cjs");

const [chromium, url, action, key, folder] = process.argv.slice(2);

const status = async () => (await fetch(`${url}v1/status`)).json();

const at = (document, pointer) =>
  pointer.split("/").slice(1).reduce((value, part) => value?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], document);

const UNITS = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };

/** The number that a text shows, and by how much it may have been rounded. */
function shown(kind, text) {
  if (kind === "time") return [Date.parse(text.replace(" UTC", "Z").replace(" ", "T")), 1000];
  const number = Number(text.replaceAll(",", "").match(/^-?[\d.]+/)[0]);
  const digits = (text.match(/\.(\d+)/) ?? ["", ""])[1].length;
  switch (kind) {
    case "bytes": {
      const unit = UNITS[text.split(" ")[1]];
      return [number * unit, 0.006 * unit];
    }
    case "share": return [number / 100, 0.00006];
    case "age": return [number * 1000, 60];
    case "ms": return [number, number < 10 ? 0.0006 : 0.06];
    case "rate": return [number, 0.0006];
    default: return [number, digits === 0 ? 0 : 10 ** -digits / 2];
  }
}

/** Whether a text says what the API said before or after it was read, or something between. */
function agrees(kind, text, before, after) {
  const values = [before, after].filter((value) => value !== undefined && value !== null);
  if (values.length === 0) return text === "–";
  switch (kind) {
    case "text": return values.includes(text);
    case "truth": return values.map((value) => (value ? "yes" : "no")).includes(text);
    case "hash": return values.some((value) => text === `${value.slice(0, 16)}…`);
    default: {
      const [number, tolerance] = shown(kind, text);
      const numbers = values.map(Number);
      return number >= Math.min(...numbers) - tolerance && number <= Math.max(...numbers) + tolerance;
    }
  }
}

async function main() {
  const browser = new Browser(chromium, folder);
  try {
    await browser.open(url);
    await browser.until("document.getElementById('readiness')?.textContent === 'ready'", "no figures came");
    // The first look is too early for what a row needs the next figures for.
    await wait(1200);
    let compared = 0;
    for (const span of ["last_minute", "last_hour", "since_start"]) {
      await browser.evaluate(
        `{ const select = document.getElementById("window"); select.value = "${span}"; select.dispatchEvent(new Event("change")); }`,
      );
      const before = await status();
      await wait(2100);
      const figures = await browser.evaluate(
        `[...document.querySelectorAll("[data-path]")].map(({ dataset, textContent }) => [dataset.path, dataset.kind, textContent])`,
      );
      const after = await status();
      for (const [pointer, kind, text] of figures) {
        const values = [at(before, pointer), at(after, pointer)];
        assert(agrees(kind, text, ...values), `${pointer} is shown as ${text}, and is ${JSON.stringify(values)}`);
      }
      compared += figures.length;
      const rows = (id) => browser.evaluate(`[...document.getElementById("${id}").rows].map((row) => row.cells[0].textContent)`);
      const profile = after.profile;
      assert.deepEqual(new Set(await rows("action-rows")), new Set([...after.actions.map(({ name }) => name), ...Object.keys(profile.actions)]));
      assert.deepEqual(await rows("error-rows"), Object.keys(profile.errors));
      assert.deepEqual(await rows("hot-rows"), Object.keys(after.pipeline.hot));
      assert.equal((await rows("recent-rows")).length, Math.min(25, profile.recent_entries.length));
      assert.equal((await rows("budget-rows")).length, after.pipeline.budgets.length);
    }
    assert(compared > 150, `only ${compared} figures were there`);

    // It is live.
    const requests = (await status()).profile.total_requests;
    const answer = await fetch(action, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ agent_id: "agent-0007" }),
    });
    assert.equal(answer.status, 200, await answer.text());
    await browser.until(
      `[...document.querySelectorAll("#action-rows td[data-path$='since_start/requests']")].reduce((sum, cell) => sum + Number(cell.textContent.replaceAll(",", "").replace("–", "0")), 0) === ${requests + 1}`,
      "a request was not shown",
    );

    // By the keyboard alone.
    await browser.evaluate("document.activeElement.blur()");
    const reached = [];
    for (let presses = 0; presses < 20; presses += 1) {
      await browser.press("Tab");
      const focused = await browser.evaluate(
        "document.activeElement.id || document.activeElement.getAttribute('aria-labelledby') || document.activeElement.textContent.trim()",
      );
      reached.push(focused);
      if (focused === "verify") await browser.press("Enter");
    }
    for (const wanted of ["Skip to the actions", "verify", "window", "actions-title", "recent-title"]) {
      assert(reached.includes(wanted), `${wanted} cannot be reached: ${reached}`);
    }
    await browser.until("document.querySelector('[data-path=\"/verified/intact\"]').textContent === 'yes'", "the chain was not verified");

    const paper = {};
    for (const [name, width, scheme] of [
      ["light", 1280, "light"],
      ["dark", 1280, "dark"],
      ["narrow-light", 375, "light"],
      ["narrow-dark", 375, "dark"],
    ]) {
      paper[name] = await browser.picture(name, width, scheme);
    }
    assert.notEqual(paper.light, paper.dark);
    assert.deepEqual(browser.complaints, []);
    console.log(`${compared} figures were compared`);
  } finally {
    browser.child.kill();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
