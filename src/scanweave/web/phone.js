// Runs exported networks in this browser: a picture through the first one, and the time of a pass of each.
import * as ort from "./ort.mjs";

const WARM_UP = 3, PASSES = 20, MEBIBYTE = 2 ** 20;
const find = (id) => document.getElementById(id);
const sessions = [];
let models = [];

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { wasm: new URL("ort-wasm-simd-threaded.wasm", location.href).href };

function show(name, text) { find(name).textContent = text; }

function row(table, cells) {
  const line = find(table).tBodies[0].insertRow();
  for (const cell of cells) line.insertCell().append(cell);
  return line;
}

const MAKE = {
  float32: (shape, count) => new ort.Tensor("float32", Float32Array.from({ length: count }, () => Math.random() - 0.5), shape),
  bool: (shape, count) => new ort.Tensor("bool", new Uint8Array(count).fill(1), shape),
  int64: (shape, count) => new ort.Tensor("int64", new BigInt64Array(count), shape),
};

function example(model) {
  const made = {};
  for (const [name, about] of Object.entries(model.inputs)) {
    made[name] = MAKE[about.kind](about.shape, about.shape.reduce((a, b) => a * b, 1));
  }
  return made;
}

async function measure() {
  find("measure").disabled = true;
  for (let number = 0; number < models.length; number++) {
    show("state", `${models[number].name}…`);
    const feeds = example(models[number]), times = [];
    for (let pass = 0; pass < WARM_UP + PASSES; pass++) {
      const began = performance.now();
      await sessions[number].run(feeds);
      if (pass >= WARM_UP) times.push(performance.now() - began);
      if (pass % 5 === 0) await new Promise((done) => setTimeout(done));
    }
    times.sort((a, b) => a - b);
    find("models").tBodies[0].rows[number].cells[2].textContent = ((times[PASSES / 2 - 1] + times[PASSES / 2]) / 2).toFixed(1);
  }
  show("state", "Done");
  find("measure").disabled = false;
}

// As the run prepares a film: grey, on the scale of the run, with the axes that it was trained on.
function normalised(grey, rule) {
  if (rule.kind === "zscore") {
    const counts = new Map();
    let least = Infinity;
    for (const value of grey) { least = Math.min(least, value); counts.set(value, (counts.get(value) ?? 0) + 1); }
    const flat = [0, least].find((value) => (counts.get(value) ?? 0) >= Math.max(1, 0.2 * grey.length));
    let number = 0, sum = 0, squares = 0;
    for (const value of grey) if (value !== flat) { number++; sum += value; squares += value * value; }
    const mean = number ? sum / number : 0;
    const deviation = number ? Math.max(Math.sqrt(Math.max(squares / number - mean * mean, 0)), 1e-6) : 1;
    return grey.map((value) => (value - mean) / deviation);
  }
  if (rule.kind === "standard") return grey.map((value) => (Math.min(Math.max(value, rule.low), rule.high) - rule.mean) / rule.deviation);
  return grey.map((value) => Math.min(Math.max((value - rule.low) * 2 / (rule.high - rule.low) - 1, -1), 1));
}

// A picture's columns run to the patient's left and its rows down, as scanweave reads films; letters of the orientation
// say to which side an axis of the input runs.
function oriented(grey, wide, high, orientation) {
  const made = new Float32Array(wide * high);
  const flipX = orientation[0] === "R", flipY = orientation[1] === "A";
  for (let x = 0; x < wide; x++) for (let y = 0; y < high; y++) {
    made[x * high + y] = grey[(flipY ? high - 1 - y : y) * wide + (flipX ? wide - 1 - x : x)];
  }
  return made;
}

async function look(file) {
  const about = models[0].picture, picture = await createImageBitmap(file), canvas = find("film");
  canvas.width = picture.width; canvas.height = picture.height; canvas.hidden = false;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(picture, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data, grey = new Float32Array(pixels.length / 4);
  for (let k = 0; k < grey.length; k++) grey[k] = 0.299 * pixels[4 * k] + 0.587 * pixels[4 * k + 1] + 0.114 * pixels[4 * k + 2];
  const values = oriented(normalised(grey, about.rule), canvas.width, canvas.height, about.orientation);
  const feeds = {
    present: new ort.Tensor("bool", new Uint8Array([1]), [1]),
    [about.scan]: new ort.Tensor("float32", values, [canvas.width, canvas.height, 1]),
  };
  const began = performance.now(), made = await sessions[0].run(feeds), took = performance.now() - began;
  const shares = Array.from(Object.values(made)[0].data);
  find("answers").tBodies[0].replaceChildren();
  find("answers").hidden = false;
  const best = shares.indexOf(Math.max(...shares));
  about.outputs.forEach((name, place) => {
    const bar = document.createElement("span"), fill = document.createElement("i");
    bar.className = "bar"; fill.style.width = `${100 * shares[place]}%`; bar.append(fill);
    const cell = document.createElement("span");
    cell.append(bar, shares[place].toFixed(3));
    const called = about.findings ? shares[place] >= (about.thresholds[name] ?? 0.5) : place === best;
    row("answers", [name, cell, called ? "called" : ""]).className = called ? "called" : "";
  });
  show("took", `Told in ${took.toFixed(0)} ms.`);
  show("caution", about.cropped ? "The run crops films to the patient first; this page does not, so figures may differ a little from predict." : "");
}

async function guarded(work) {
  try { await work(); show("fault", ""); } catch (error) { show("fault", `It did not work: ${error.message ?? error}`); }
}

await guarded(async () => {
  models = await (await fetch("models")).json();
  for (const [number, model] of models.entries()) {
    const file = await fetch(`models/${number}.onnx`);
    if (!file.ok) throw new Error(`${model.name} did not arrive`);
    sessions.push(await ort.InferenceSession.create(await file.arrayBuffer(), { executionProviders: ["wasm"] }));
    row("models", [model.name + (model.precision === "int8" ? " (int8)" : ""), (model.bytes / MEBIBYTE).toFixed(1), "–"]);
  }
  for (const line of models[0].card) { const item = document.createElement("li"); item.textContent = line; find("card").append(item); }
  if (models[0].picture) {
    find("look").hidden = false;
    find("file").addEventListener("change", (event) => event.target.files.length && guarded(() => look(event.target.files[0])));
  }
  find("measure").addEventListener("click", () => guarded(measure));
  find("measure").disabled = false;
  show("state", "");
});
