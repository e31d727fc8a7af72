// Opens the page to try the interface in a real browser, as somebody with a key does.
//
// node try.cjs CHROMIUM PAGE-URL KEY FOLDER-FOR-PICTURES

"use strict";
const assert = require("node:assert");
const { Browser } = require("./browser.cjs");

const [chromium, url, key, folder] = process.argv.slice(2);

async function main() {
  const browser = new Browser(chromium, folder);
  const text = (id) => browser.evaluate(`document.getElementById("${id}").textContent`);
  const fill = (id, value) =>
    browser.evaluate(
      `{ const field = document.getElementById("${id}"); field.value = ${JSON.stringify(value)}; field.dispatchEvent(new Event("change")); }`,
    );
  const submit = async (form, status) => {
    await browser.evaluate(`document.getElementById("status").textContent = ""; document.getElementById("${form}").requestSubmit()`);
    await browser.until(`${status}.test(document.getElementById("status").textContent)`, `no ${status}`);
  };
  try {
    await browser.open(url);
    await browser.until("document.readyState === 'complete'", "no page");
    await fill("key", "a-key-that-nobody-here-has");
    await submit("enter", /^401/);
    assert((await text("answer")).includes("request.unauthorized"));
    assert(await browser.evaluate("document.getElementById('ask').hidden"));
    // The browser itself notes the refusal.
    browser.complaints = [];
    await fill("key", key);
    await submit("enter", /^[2-9] actions$/);
    await fill("action", "/v1/actions/agent-scorecard");
    await fill("param-agent_id", "agent-0007");
    await submit("ask", /^200 in /);
    const answer = JSON.parse(await text("answer"));
    assert.equal(answer.row_count, answer.data.length);
    assert(answer.audit_id.length > 0);
    // Other formats, and a picture on a narrow screen.
    await fill("format", "text/csv");
    await fill("param-agent_id", "agent-0008");
    await submit("ask", /^200 in /);
    const header = (await text("answer")).split("\r\n")[0];
    assert.deepEqual(header.split(","), Object.keys(answer.data[0]));
    await browser.picture("try", 1280, "light");
    await browser.picture("try-narrow", 375, "dark");
    // What a parameter or an answer holds is text.
    await fill("param-agent_id", "<img src=x onerror=document.title='forged'>");
    await submit("ask", /^[0-9]{3} in /);
    assert.equal(await browser.evaluate("document.images.length"), 0);
    assert.notEqual(await browser.evaluate("document.title"), "forged");
    // The key is nowhere but in its field.
    const kept = "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])";
    assert(!(await browser.evaluate(kept)).includes(key));
    const complaints = browser.complaints.filter((complaint) => !complaint.includes("status of 4"));
    assert.deepEqual(complaints, []);
  } finally {
    browser.child.kill();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
