"use strict";
const WINDOWS = [[-175, 250], [0, 150], [-1000, 400], [-400, 1200]]; // lowest and highest [HU]
const byId = (name) => document.getElementById(name);
const state = { reader: "", item: null, made: null, sure: null, since: 0, window: 0, planes: "all" };
let viewer = null;

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  const told = await answer.json().catch(() => ({ error: "The server did not answer. Is it still running?" }));
  if (!answer.ok) throw new Error(told.error || "The server refused.");
  return told;
}

function show(name) {
  for (const part of ["welcome", "item", "end"]) byId(part).hidden = part !== name;
}

function mark() {
  document.querySelectorAll("[data-made]").forEach((one) => one.classList.toggle("chosen", one.dataset.made === String(state.made)));
  document.querySelectorAll("[data-sure]").forEach((one) => one.classList.toggle("chosen", Number(one.dataset.sure) === state.sure));
  document.querySelectorAll("[data-window]").forEach((one) => one.classList.toggle("chosen", Number(one.dataset.window) === state.window));
  document.querySelectorAll("[data-planes]").forEach((one) => one.classList.toggle("chosen", one.dataset.planes === state.planes));
  byId("next").disabled = state.made === null || state.sure === null || state.item === null;
}

function draw() {
  mark();
  if (!viewer || !viewer.volumes.length) return;
  const [low, high] = WINDOWS[state.window];
  viewer.volumes[0].cal_min = low;
  viewer.volumes[0].cal_max = high;
  viewer.updateGLVolume();
  viewer.setSliceType(state.planes === "all" ? viewer.sliceTypeMultiplanar : viewer.sliceTypeAxial);
}

async function load(told) {
  byId("progress").max = told.of;
  byId("progress").value = told.done;
  byId("count").textContent = `${told.done} of ${told.of} done`;
  Object.assign(state, { item: null, made: null, sure: null });
  byId("cue").value = "";
  if (told.item === null) { show("end"); return; }
  show("item");
  mark();
  if (!viewer) {
    viewer = new niivue.Niivue({ isColorbar: false, show3Dcrosshair: false, backColor: [0, 0, 0, 1], crosshairWidth: 0, viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", multiplanarShowRender: 0, isRadiologicalConvention: true, logLevel: "error" });
    await viewer.attachTo("view");
  }
  await viewer.loadVolumes([{ url: `/items/${told.item}.nii`, name: "item.nii" }]);
  state.item = told.item;
  state.since = performance.now();
  draw();
}

async function next() {
  if (byId("next").disabled) return;
  byId("next").disabled = true;
  const answer = { item: state.item, made: state.made, confidence: state.sure, cue: byId("cue").value, seconds: (performance.now() - state.since) / 1000 };
  try {
    byId("trouble").textContent = "";
    await load(await ask(`/answers/${state.reader}`, answer));
  } catch (error) {
    byId("trouble").textContent = error.message;
    mark();
  }
}

byId("begin").addEventListener("submit", async (event) => {
  event.preventDefault();
  state.reader = byId("reader").value.trim();
  try {
    await load(await ask(`/state/${encodeURIComponent(state.reader)}`));
  } catch (error) {
    byId("fault").textContent = error.message;
  }
});
document.addEventListener("click", (event) => {
  const chosen = event.target.closest("button");
  if (!chosen) return;
  if (chosen.dataset.made) state.made = chosen.dataset.made === "true";
  if (chosen.dataset.sure) state.sure = Number(chosen.dataset.sure);
  if (chosen.dataset.window) state.window = Number(chosen.dataset.window);
  if (chosen.dataset.planes) state.planes = chosen.dataset.planes;
  if (chosen.id === "next") { next(); return; }
  if (!byId("item").hidden) draw();
});
document.addEventListener("keydown", (event) => {
  if (byId("item").hidden || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "r") state.made = false;
  else if (key === "s") state.made = true;
  else if (key >= "1" && key <= "5") state.sure = Number(key);
  else if (key === "w") state.window = (state.window + 1) % WINDOWS.length;
  else if (key === "v") state.planes = state.planes === "all" ? "axial" : "all";
  else if (key === "enter") { event.preventDefault(); next(); return; }
  else return;
  draw();
});
