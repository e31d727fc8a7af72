// A real browser, spoken to through a pipe in the DevTools protocol; nothing is installed for it.

"use strict";
const assert = require("node:assert");
const fs = require("node:fs");
const path = require("node:path");
const { spawn } = require("node:child_process");
const { setTimeout: wait } = require("node:timers/promises");

class Browser {
  /** `folder` takes its profile and its pictures. */
  constructor(chromium, folder) {
    this.folder = folder;
    const profile = fs.mkdtempSync(path.join(folder, "profile-"));
    const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
    this.child = spawn(chromium, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.waiting = new Map();
    this.complaints = [];
    this.last = 0;
    let text = "";
    this.child.stdio[4].on("data", (data) => {
      text += data;
      const messages = text.split("\0");
      text = messages.pop();
      messages.forEach((message) => this.take(JSON.parse(message)));
    });
  }

  take({ id, result, error, method, params }) {
    if (id !== undefined) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      error ? reject(new Error(error.message)) : resolve(result);
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(params.entry.text);
    } else if (method === "Runtime.exceptionThrown") {
      this.complaints.push(JSON.stringify(params.exceptionDetails));
    }
  }

  send(method, params = {}) {
    this.last += 1;
    const message = { id: this.last, method, params, sessionId: this.session };
    this.child.stdio[3].write(JSON.stringify(message) + "\0");
    return new Promise((resolve, reject) => this.waiting.set(this.last, { resolve, reject }));
  }

  async open(url) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    this.session = sessionId;
    for (const domain of ["Page", "Runtime", "Log"]) await this.send(`${domain}.enable`);
    await this.send("Page.navigate", { url });
  }

  async evaluate(expression) {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  }

  async until(expression, what) {
    for (let tries = 0; tries < 200; tries += 1) {
      if (await this.evaluate(expression)) return;
      await wait(50);
    }
    assert.fail(`${what}: ${await this.evaluate("document.body.innerText")}`);
  }

  async press(name) {
    const codes = { Tab: 9, Enter: 13 };
    const event = { key: name, code: name, windowsVirtualKeyCode: codes[name], text: name === "Enter" ? "\r" : undefined };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  async picture(name, width, scheme) {
    const size = { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 };
    await this.send("Emulation.setDeviceMetricsOverride", size);
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.send("Emulation.setEmulatedMedia", { features });
    await wait(200);
    const beyond = await this.evaluate("document.documentElement.scrollWidth - innerWidth");
    assert(beyond <= 0, `${name} is ${beyond} px wider than the screen`);
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: true });
    fs.writeFileSync(path.join(this.folder, `${name}.png`), Buffer.from(data, "base64"));
    return this.evaluate("getComputedStyle(document.body).backgroundColor");
  }
}

module.exports = { Browser };
