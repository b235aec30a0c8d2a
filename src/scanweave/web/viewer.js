"use strict";
// Looks at studies: a panel a scan, linked; asks for verbs; shows jobs. All that it knows comes from this machine.
const byId = (name) => document.getElementById(name);
const MOST_PANELS = 8, POLL_MS = 1000;
const state = { home: { cohorts: [], runs: [] }, cohort: 0, study: 0, beside: null, planes: "axial", linked: true, shown: null, other: null, panels: [], loads: 0, jobs: [], open: new Set(), since: null };

async function ask(path, options) {
  const answer = await fetch(path, options);
  const told = await answer.json().catch(() => ({ error: "The server did not answer. Is it still running?" }));
  if (!answer.ok) throw new Error(told.error || "The server refused.");
  return told;
}
const post = (path, body) => ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}) });

async function guarded(work) {
  try { byId("fault").textContent = ""; return await work(); } catch (error) { byId("fault").textContent = error.message ?? String(error); }
}

function make(kind, about = {}, ...children) {
  const made = Object.assign(document.createElement(kind), about);
  made.append(...children);
  return made;
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, textContent: text, selected: String(value) === String(chosen) })));
}

const cohort = () => state.home.cohorts[state.cohort];
const run = () => state.home.runs.find((one) => String(one.id) === byId("run").value);

async function loadHome() {
  state.home = await ask("api/home");
  fill(byId("cohort"), state.home.cohorts.map((one) => [one.id, `${one.name} (${one.studies.length})${one.predicted ? " · made" : ""}`]), state.cohort);
  const kept = byId("run").value;
  fill(byId("run"), state.home.runs.map((one) => [one.id, `${one.name} · ${one.system}`]), kept);
  showRun();
  if (!state.home.cohorts.length) byId("fault").textContent = "There is no cohort here. Drop files to take some in.";
}

function showRun() {
  const own = run();
  byId("about").textContent = own ? `from ${own.sources.join(", ")} · makes ${own.targets.join(", ")}` : "There is no run here.";
  byId("make").disabled = byId("whole").disabled = !own || !own.verbs.includes("predict");
  byId("verbs").replaceChildren(...(own ? own.verbs.filter((verb) => verb !== "predict").map((verb) => make("button", { textContent: verb, onclick: () => guarded(() => start({ verb })) })) : []));
  if (own && own.report) byId("verbs").append(make("a", { href: `api/runs/${own.id}/report`, target: "_blank", rel: "noopener", textContent: "open its page" }));
}

function showStudies() {
  const own = cohort();
  fill(byId("study"), own.studies.map((name, number) => [number, name]), state.study);
  const name = own.studies[state.study];
  const others = state.home.cohorts.filter((one) => one.id !== state.cohort && one.studies.includes(name));
  if (!others.some((one) => one.id === state.beside)) state.beside = null;
  fill(byId("beside"), [["", "nothing"], ...others.map((one) => [one.id, one.name])], state.beside ?? "");
}

async function loadStudy() {
  if (!cohort()) return;
  const began = performance.now(), load = ++state.loads;
  showStudies();
  state.shown = await ask(`api/cohorts/${state.cohort}/studies/${state.study}`);
  state.other = null;
  if (state.beside !== null) {
    const place = state.home.cohorts[state.beside].studies.indexOf(state.shown.id);
    state.other = { ...(await ask(`api/cohorts/${state.beside}/studies/${place}`)), place };
  }
  if (load !== state.loads) return;
  showScans();
  showFacts();
  await showPanels(load);
  document.body.dataset.loaded = `${state.shown.id} ${Math.round(performance.now() - began)}`;
}

function showScans() {
  const own = run(), rows = [];
  for (const scan of state.shown.scans) {
    const buttons = [];
    const can = own && own.verbs.includes("predict") && own.targets.includes(scan.name);
    if (can) buttons.push(make("button", { textContent: scan.state === "absent" ? "make" : "withhold and make", title: "from the other scans of this study", onclick: () => guarded(() => start({ verb: "predict", targets: [scan.name], studies: [state.shown.id] })) }));
    if (scan.state !== "absent") buttons.push(make("a", { href: `api/cohorts/${state.cohort}/studies/${state.study}/scans/${encodeURIComponent(scan.name)}.nii.gz`, textContent: "save", download: "" }));
    rows.push(make("div", { className: "row" }, make("span", { className: "name", textContent: scan.name, title: scan.size ? `${scan.size}, ${scan.spacing} mm` : "" }), make("span", { className: `badge ${scan.state}`, textContent: scan.state }), ...buttons));
  }
  byId("scans").replaceChildren(...rows);
  const masks = [...state.shown.masks.map((one) => [`${state.cohort}/studies/${state.study}/masks/${one.name}`, one.name])];
  if (state.other) masks.push(...state.other.masks.map((one) => [`${state.beside}/studies/${state.other.place}/masks/${one.name}`, `${one.name} · made`]));
  fill(byId("mask"), [["", "none"], ...masks], masks.some(([value]) => value === byId("mask").value) ? byId("mask").value : "");
}

function showFacts() {
  const facts = [["study", state.shown.id], ["patient", state.shown.patient], ...Object.entries(state.shown.labels), ...Object.entries(state.shown.table)];
  if (state.other) facts.push(...Object.entries(state.other.labels).map(([name, value]) => [`${name} · made`, value]), ...Object.entries(state.other.table).map(([name, value]) => [`${name} · made`, value]));
  if (state.shown.report) facts.push(["report", state.shown.report]);
  byId("facts").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: String(value) })]));
}

function wanted() {
  const made = [], path = (c, s, name) => `api/cohorts/${c}/studies/${s}/scans/${encodeURIComponent(name)}.nii.gz`;
  for (const scan of state.shown.scans) {
    if (scan.state !== "absent") made.push({ title: scan.name, kind: scan.state, url: path(state.cohort, state.study, scan.name) });
    const twin = state.other?.scans.find((one) => one.name === scan.name && one.state !== "absent");
    if (twin) {
      made.push({ title: `${scan.name} · beside`, kind: twin.state, url: path(state.beside, state.other.place, scan.name) });
      if (scan.state !== "absent") made.push({ title: scan.name, kind: "difference", url: `api/differences/${state.cohort}/${state.beside}/${encodeURIComponent(state.shown.id)}/${encodeURIComponent(scan.name)}.nii.gz`, colormap: "inferno" });
    }
  }
  for (const scan of state.other?.scans ?? []) {
    if (scan.state !== "absent" && !state.shown.scans.some((one) => one.name === scan.name)) made.push({ title: `${scan.name} · beside`, kind: scan.state, url: path(state.beside, state.other.place, scan.name) });
  }
  return made.slice(0, MOST_PANELS);
}

async function showPanels(load) {
  const images = wanted();
  while (state.panels.length > images.length) state.panels.pop().box.remove();
  while (state.panels.length < images.length) state.panels.push(await newPanel());
  const across = Math.ceil(Math.sqrt(images.length)) || 1;
  byId("panels").style.gridTemplateColumns = `repeat(${Math.min(across, images.length || 1)}, minmax(0, 1fr))`;
  for (const [number, image] of images.entries()) {
    const panel = state.panels[number];
    panel.box.className = `panel ${image.kind}`;
    panel.title.textContent = `${image.title} · ${image.kind}…`;
  }
  for (const [number, image] of images.entries()) {
    if (load !== state.loads) return;
    const panel = state.panels[number];
    try {
      await panel.viewer.loadVolumes([{ url: image.url, name: "image.nii.gz", colormap: image.colormap ?? "gray" }]);
      panel.title.textContent = `${image.title} · ${image.kind}`;
    } catch (error) {
      panel.title.textContent = `${image.title} · cannot be shown`;
      byId("fault").textContent = error.message ?? String(error);
    }
    if (number === 0) document.body.dataset.first = String(performance.now());
  }
  applyPlanes();
  link();
  await showMask();
}

async function newPanel() {
  const box = make("div", { className: "panel" }), title = make("header"), canvas = make("canvas");
  box.append(title, canvas);
  byId("panels").append(box);
  const viewer = new niivue.Niivue({ isColorbar: false, backColor: [0, 0, 0, 1], crosshairWidth: 1, crosshairColor: [0.5, 0.75, 0.9, 0.7], show3Dcrosshair: true, isRadiologicalConvention: true, viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", multiplanarShowRender: 0, dragMode: 1, logLevel: "error" });
  await viewer.attachToCanvas(canvas);
  return { box, title, viewer };
}

function applyPlanes() {
  document.querySelectorAll("[data-planes]").forEach((one) => one.classList.toggle("chosen", one.dataset.planes === state.planes));
  for (const { viewer } of state.panels) {
    const kinds = { axial: viewer.sliceTypeAxial, coronal: viewer.sliceTypeCoronal, sagittal: viewer.sliceTypeSagittal, all: viewer.sliceTypeMultiplanar, render: viewer.sliceTypeRender };
    if (viewer.volumes.length) viewer.setSliceType(kinds[state.planes]);
  }
}

function link() {
  byId("linked").classList.toggle("chosen", state.linked);
  for (const { viewer } of state.panels) viewer.broadcastTo(state.linked ? state.panels.map((one) => one.viewer).filter((one) => one !== viewer) : [], { "2d": true, "3d": true, zoomPan: true });
}

async function showMask() {
  const chosen = byId("mask").value, opacity = Number(byId("opacity").value);
  for (const { viewer } of state.panels) {
    while (viewer.volumes.length > 1) viewer.removeVolumeByIndex(1);
    if (chosen && viewer.volumes.length) await viewer.addVolumeFromUrl({ url: `api/cohorts/${chosen.split("/").map(encodeURIComponent).join("/")}.nii.gz`, name: "mask.nii.gz", colormap: "warm", opacity, cal_min: 0.5, cal_max: 3 });
  }
}

function reset() {
  for (const { viewer } of state.panels) {
    for (const volume of viewer.volumes.slice(0, 1)) { volume.cal_min = volume.robust_min; volume.cal_max = volume.robust_max; }
    viewer.setPan2Dxyzmm([0, 0, 0, 1]);
    viewer.updateGLVolume();
  }
}

async function start(about) {
  const own = run();
  if (!own) throw new Error("There is no run here.");
  const job = await post("api/jobs", { run: own.id, cohort: state.cohort, ...about });
  state.since = job.id;
  await poll();
}

function showJobs() {
  byId("jobs").replaceChildren(...state.jobs.map((job) => {
    const box = make("div", { className: "job" }), active = job.state === "waiting" || job.state === "running";
    const head = make("div", { className: "row" }, make("span", { className: "name", textContent: job.title }), make("span", { className: "badge", textContent: `${job.state}${job.seconds ? ` ${job.seconds.toFixed(0)} s` : ""}` }));
    if (active) head.append(make("button", { textContent: "cancel", onclick: () => guarded(async () => { await post(`api/jobs/${job.id}/cancel`); await poll(); }) }));
    else head.append(make("button", { textContent: state.open.has(job.id) ? "less" : "lines", onclick: () => { state.open.has(job.id) ? state.open.delete(job.id) : state.open.add(job.id); showJobs(); } }));
    box.append(head);
    if (active) box.append(make("progress", { max: 1, value: job.share }));
    if (state.open.has(job.id) || job.state === "failed") box.append(make("pre", { textContent: job.lines.slice(-12).join("\n") }));
    return box;
  }));
}

async function poll() {
  const before = new Map(state.jobs.map((job) => [job.id, job.state]));
  state.jobs = await ask("api/jobs");
  showJobs();
  const ended = state.jobs.find((job) => job.state === "done" && ["waiting", "running"].includes(before.get(job.id)));
  if (!ended) return;
  const known = state.home.cohorts.length;
  await loadHome();
  const made = state.home.cohorts.slice(known).find((one) => one.studies.includes(state.shown?.id));
  if (made && made.predicted) { state.beside = made.id; await loadStudy(); }
  else if (!state.shown && state.home.cohorts.length) { await loadStudy(); }
}

function move(step) {
  const number = cohort()?.studies.length ?? 0;
  if (!number) return;
  state.study = (state.study + step + number) % number;
  guarded(loadStudy);
}

async function take(files) {
  for (const file of files) await ask(`api/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  await poll();
}

byId("cohort").addEventListener("change", (event) => { state.cohort = Number(event.target.value); state.study = 0; guarded(loadStudy); });
byId("study").addEventListener("change", (event) => { state.study = Number(event.target.value); guarded(loadStudy); });
byId("beside").addEventListener("change", (event) => { state.beside = event.target.value === "" ? null : Number(event.target.value); guarded(loadStudy); });
byId("run").addEventListener("change", () => { showRun(); if (state.shown) showScans(); });
byId("mask").addEventListener("change", () => guarded(showMask));
byId("opacity").addEventListener("input", () => { for (const { viewer } of state.panels) if (viewer.volumes.length > 1) viewer.setOpacity(1, Number(byId("opacity").value)); });
byId("before").addEventListener("click", () => move(-1));
byId("after").addEventListener("click", () => move(1));
byId("linked").addEventListener("click", () => { state.linked = !state.linked; link(); });
byId("reset").addEventListener("click", reset);
byId("make").addEventListener("click", () => guarded(() => start({ verb: "predict", studies: [state.shown.id] })));
byId("whole").addEventListener("click", () => guarded(() => start({ verb: "predict" })));
byId("planes").addEventListener("click", (event) => { if (event.target.dataset.planes) { state.planes = event.target.dataset.planes; applyPlanes(); } });
byId("file").addEventListener("change", (event) => guarded(() => take(event.target.files)));
for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
  event.preventDefault();
  byId("drop").classList.toggle("over", name === "dragover");
  if (name === "drop" && event.dataTransfer.files.length) guarded(() => take(event.dataTransfer.files));
});
const KEYS = { a: () => plane("axial"), c: () => plane("coronal"), s: () => plane("sagittal"), m: () => plane("all"), 3: () => plane("render"), l: () => byId("linked").click(), 0: reset, n: () => move(1), p: () => move(-1), "?": () => byId("keys").showModal() };
function plane(name) { state.planes = name; applyPlanes(); }
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const work = KEYS[event.key.toLowerCase()];
  if (work) { event.preventDefault(); work(); }
});

guarded(async () => {
  await loadHome();
  state.jobs = await ask("api/jobs");
  showJobs();
  await loadStudy();
});
setInterval(() => { if (state.jobs.some((job) => ["waiting", "running"].includes(job.state))) guarded(poll); }, POLL_MS);
