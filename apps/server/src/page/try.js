"use strict";
// Whatever the server says is shown as text, never as markup.
const at = (id) => document.getElementById(id);
let paths = {};

function authorized() {
  return { Authorization: "Bearer " + at("key").value };
}

function show(status, text) {
  at("status").textContent = status;
  at("answer").textContent = text;
}

// The key is the only credential: with others, a browser would open a window of its own and wait for it.
async function call(path, options) {
  show("…", "");
  try {
    return await fetch(path, { credentials: "omit", ...options });
  } catch (error) {
    show("no answer", String(error));
    return null;
  }
}

function schemaOf(path) {
  return paths[path].post.requestBody.content["application/json"].schema;
}

function choose() {
  const path = at("action").value;
  const schema = schemaOf(path);
  at("about").textContent = paths[path].post.summary;
  const fields = [];
  for (const [name, param] of Object.entries(schema.properties)) {
    const label = document.createElement("label");
    label.htmlFor = "param-" + name;
    label.textContent = name + (schema.required.includes(name) ? " (required)" : "");
    const input = document.createElement(param.enum ? "select" : "input");
    input.id = label.htmlFor;
    input.dataset.name = name;
    input.title = param.description || "";
    for (const value of param.enum ? ["", ...param.enum] : []) {
      input.append(new Option(value, value));
    }
    if (!param.enum) {
      input.placeholder = param.type === "array" ? '["a", "b"]' : String(param.default ?? param.format ?? param.type);
    }
    fields.push(label, input);
  }
  at("params").replaceChildren(...fields);
}

at("action").addEventListener("change", choose);

at("enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await call("/openapi.json", { headers: authorized() });
  if (response === null) return;
  if (!response.ok) {
    at("ask").hidden = true;
    show(String(response.status), await response.text());
    return;
  }
  paths = (await response.json()).paths;
  const names = Object.keys(paths).filter((path) => !path.endsWith("/batch"));
  at("action").replaceChildren(...names.map((path) => new Option(path.split("/").pop(), path)));
  at("ask").hidden = names.length === 0;
  show(names.length + " actions", "");
  if (names.length > 0) choose();
});

at("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const path = at("action").value;
  const properties = schemaOf(path).properties;
  const members = [];
  for (const input of at("params").querySelectorAll("[data-name]")) {
    if (input.value === "") continue;
    const name = input.dataset.name;
    // A list is written as JSON; anything else is read from its text, with all digits of a number.
    const value = properties[name].type === "array" ? input.value : JSON.stringify(input.value);
    members.push(JSON.stringify(name) + ":" + value);
  }
  const started = performance.now();
  const response = await call(path, {
    method: "POST",
    headers: { ...authorized(), Accept: at("format").value, "Content-Type": "application/json" },
    body: "{" + members.join(",") + "}",
  });
  if (response === null) return;
  const text = await response.text();
  show(response.status + " in " + Math.round(performance.now() - started) + " ms", text);
});
