"use strict";
// Looks at studies: a panel a scan, linked; asks for verbs; shows jobs. All that it knows comes from this machine.
const byId = (name) => document.getElementById(name);
const MOST_PANELS = 8, POLL_MS = 1000;
const state = { home: { cohorts: [], runs: [] }, cohort: 0, study: 0, beside: null, planes: "axial", linked: true, shown: null, other: null, panels: [], loads: 0, jobs: [], open: new Set(), queue: Promise.resolve(), polls: Promise.resolve(), polling: 0 };

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
  fill(byId("result"), state.home.results.map((one) => [one.id, one.title]), byId("result").value);
  fill(byId("system"), state.home.systems.map((one) => [one.name, one.title]), byId("system").value);
  showSystem();
  await showResult();
  if (!state.home.cohorts.length) byId("fault").textContent = "There is no cohort here. Drop files to take some in.";
}

function showRun() {
  const own = run();
  byId("about").textContent = own ? `from ${own.sources.join(", ")} · makes ${own.targets.join(", ")}` : "There is no run here.";
  byId("make").disabled = byId("whole").disabled = !own || !own.verbs.includes("predict");
  byId("verbs").replaceChildren(...(own ? own.verbs.filter((verb) => verb !== "predict").map((verb) => make("button", { textContent: verb, onclick: () => guarded(() => start({ verb })) })) : []));
  if (own && own.report) byId("verbs").append(make("a", { href: `api/runs/${own.id}/report`, target: "_blank", rel: "noopener", textContent: "open its page" }));
}

function showSystem() {
  const own = state.home.systems.find((one) => one.name === byId("system").value);
  fill(byId("preset"), (own?.presets ?? []).map((name) => [name, name]), byId("preset").value);
  byId("question").textContent = own?.question ?? "";
  byId("fit").disabled = byId("check").disabled = !state.home.cohorts.length;
}

async function showResult() {
  const own = state.home.results.find((one) => String(one.id) === byId("result").value);
  fill(byId("table"), (own?.tables ?? []).map((name) => [name, name]), byId("table").value);
  byId("table").hidden = byId("result").hidden = !own;
  if (!own) { byId("found").textContent = "Nothing yet: start evaluate, rank or explain."; return; }
  if (!own.tables.length) { byId("found").textContent = "It holds no table."; return; }
  const study = byId("only").checked && state.shown ? `?study=${encodeURIComponent(state.shown.id)}` : "";
  const told = await ask(`api/results/${own.id}/tables/${encodeURIComponent(byId("table").value)}${study}`);
  const head = make("tr", {}, ...told.columns.map((name) => make("th", { textContent: name.replaceAll("_", " ") })));
  const rows = told.rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", { textContent: cell }))));
  const left = told.left ? [make("p", { className: "small", textContent: `${told.left} more rows are in its file.` })] : [];
  byId("found").replaceChildren(...(rows.length ? [make("table", {}, head, ...rows), ...left] : ["It says nothing of this study."]));
}

function showStudies() {
  const own = cohort();
  fill(byId("study"), own.studies.map((name, number) => [number, name]), state.study);
  const name = own.studies[state.study];
  const others = state.home.cohorts.filter((one) => one.id !== state.cohort && one.studies.includes(name));
  if (!others.some((one) => one.id === state.beside)) state.beside = null;
  fill(byId("beside"), [["", "nothing"], ...others.map((one) => [one.id, one.name])], state.beside ?? "");
}

// One load ends before the next begins: a viewer that takes two images at once would show both.
const queued = (work) => (state.queue = state.queue.then(work, work));

function loadStudy() {
  const load = ++state.loads;
  return queued(() => showStudy(load));
}

async function showStudy(load) {
  if (!cohort() || load !== state.loads) return;
  const began = performance.now();
  showStudies();
  state.shown = await ask(`api/cohorts/${state.cohort}/studies/${state.study}`);
  state.other = null;
  if (state.beside !== null) {
    const place = state.home.cohorts[state.beside].studies.indexOf(state.shown.id);
    state.other = { ...(await ask(`api/cohorts/${state.beside}/studies/${place}`)), place };
  }
  showScans();
  showFacts();
  await showResult();
  await showPanels(load);
  if (load !== state.loads) return;
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
  fill(byId("overlay"), [["", "nothing"], ...overlays().map((one) => [one.path, one.title])], byId("overlay").value);
}

// What can lie over the scans: masks and boxes of the study, those that were made of it, and its maps.
function overlays() {
  const made = [], place = (c, s) => `api/cohorts/${c}/studies/${s}`;
  const one = (shown, at, said) => {
    const scan = shown.scans.find((each) => each.state !== "absent")?.name ?? state.shown.scans.find((each) => each.state !== "absent")?.name;
    made.push(...shown.masks.map((mask) => ({ path: `${at}/masks/${encodeURIComponent(mask.name)}.nii.gz`, title: `${mask.name}${said}`, colormap: "warm", cal_min: 0.5, cal_max: 3 })));
    if (shown.boxes.length && scan) made.push({ path: `${at}/boxes/${encodeURIComponent(scan)}.nii.gz`, title: `boxes: ${shown.boxes.join(", ")}${said}`, colormap: "actc", cal_min: 0.5, cal_max: Math.max(shown.boxes.length, 1) });
  };
  one(state.shown, place(state.cohort, state.study), "");
  if (state.other) one(state.other, place(state.beside, state.other.place), " · made");
  made.push(...state.shown.maps.map((map) => ({ path: `api/results/${map.result}/studies/${encodeURIComponent(state.shown.id)}/maps/${map.place}.nii.gz`, title: map.name, colormap: "inferno" })));
  return made;
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
      if (number === 0) document.body.dataset.first = String(performance.now());
    } catch (error) {
      panel.title.textContent = `${image.title} · cannot be shown`;
      byId("fault").textContent = error.message ?? String(error);
    }
  }
  if (load !== state.loads) return;
  applyPlanes();
  link();
  await showOverlay();
}

async function newPanel() {
  const box = make("div", { className: "panel" }), title = make("header"), canvas = make("canvas");
  box.append(title, canvas);
  byId("panels").append(box);
  const viewer = new niivue.Niivue({ isColorbar: false, backColor: [0, 0, 0, 1], crosshairWidth: 0.3, crosshairWidthUnit: "percent", crosshairColor: [0.5, 0.75, 0.9, 0.7], show3Dcrosshair: true, isRadiologicalConvention: true, viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", multiplanarShowRender: 0, dragMode: 1, logLevel: "error" });
  await viewer.attachToCanvas(canvas);
  viewer.onIntensityChange = () => linkWindow(viewer);
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

async function showOverlay() {
  const chosen = overlays().find((one) => one.path === byId("overlay").value), opacity = Number(byId("opacity").value);
  for (const { viewer } of state.panels) {
    while (viewer.volumes.length > 1) viewer.removeVolumeByIndex(1);
    if (!chosen || !viewer.volumes.length) continue;
    const range = chosen.cal_max === undefined ? {} : { cal_min: chosen.cal_min, cal_max: chosen.cal_max };
    await viewer.addVolumeFromUrl({ url: chosen.path, name: "overlay.nii.gz", colormap: chosen.colormap, opacity, ...range });
  }
}

// A window is linked as shares of what each scan holds: their numbers have no common unit.
function linkWindow(from) {
  if (!state.linked || state.linking) return;
  const own = from.volumes[0], span = own.robust_max - own.robust_min || 1;
  const low = (own.cal_min - own.robust_min) / span, high = (own.cal_max - own.robust_min) / span;
  state.linking = true;
  for (const { viewer } of state.panels) {
    if (viewer === from || !viewer.volumes.length) continue;
    const one = viewer.volumes[0], width = one.robust_max - one.robust_min || 1;
    one.cal_min = one.robust_min + low * width;
    one.cal_max = one.robust_min + high * width;
    viewer.updateGLVolume();
  }
  state.linking = false;
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
  if (!own && about.verb !== "fit" && about.verb !== "check") throw new Error("There is no run here.");
  await post("api/jobs", { run: own?.id, cohort: state.cohort, ...about });
  await poll();
}

function showJobs() {
  byId("jobs").replaceChildren(...state.jobs.map((job) => {
    const box = make("div", { className: "job" }), active = job.state === "waiting" || job.state === "running";
    const head = make("div", { className: "row" }, make("span", { className: "name", textContent: job.title }), make("span", { className: "badge", textContent: `${job.state}${job.seconds ? ` ${job.seconds.toFixed(0)} s` : ""}` }));
    if (active) head.append(make("button", { textContent: "cancel", onclick: () => guarded(async () => { await post(`api/jobs/${job.id}/cancel`); await poll(); }) }));
    else head.append(make("button", { textContent: state.open.has(job.id) ? "less" : "lines", onclick: () => { state.open.has(job.id) ? state.open.delete(job.id) : state.open.add(job.id); showJobs(); } }));
    if (job.results) head.append(make("a", { href: `api/jobs/${job.id}/results.zip`, textContent: "save", title: "all that it wrote, as a zip", download: "" }));
    box.append(head);
    if (active) box.append(make("progress", { max: 1, value: job.share }));
    if (state.open.has(job.id) || job.state === "failed") box.append(make("pre", { textContent: job.lines.slice(-12).join("\n") }));
    return box;
  }));
}

// One after the other, so that no older answer takes the place of a newer one.
function poll() {
  state.polling += 1;
  state.polls = state.polls.then(pollOnce, pollOnce).finally(() => { state.polling -= 1; });
  return state.polls;
}

async function pollOnce() {
  const before = new Map(state.jobs.map((job) => [job.id, job.state]));
  state.jobs = await ask("api/jobs");
  showJobs();
  const ended = state.jobs.filter((job) => job.state === "done" && before.get(job.id) !== "done");
  if (ended.length) await showEnded(ended);
}

// What ended jobs made is shown where it belongs: beside the cohort that it was made of, and among the tables.
async function showEnded(ended) {
  await loadHome();
  const made = ended.find((job) => job.made !== null && job.cohort === state.cohort);
  const found = ended.find((job) => job.found !== null);
  if (found) byId("result").value = String(found.found);
  if (made && cohort()) state.beside = made.made;
  if (made || found || !state.shown) await loadStudy();
}

function move(step) {
  const number = cohort()?.studies.length ?? 0;
  if (!number) return;
  state.study = (state.study + step + number) % number;
  guarded(loadStudy);
}

// Files that are dropped together are one collection, with the folders that they lie in.
async function take(files) {
  if (!files.length) return;
  const { id } = await post("api/uploads");
  try {
    for (const [number, { name, file }] of files.entries()) {
      byId("taking").textContent = `${number + 1} of ${files.length} files`;
      await ask(`api/uploads/${id}/files?name=${encodeURIComponent(name)}`, { method: "POST", body: file });
    }
    await post(`api/uploads/${id}/import`);
  } catch (error) {
    await ask(`api/uploads/${id}`, { method: "DELETE" }).catch(() => null);
    throw error;
  } finally { byId("taking").textContent = ""; }
  await poll();
}

const named = (list) => [...list].map((file) => ({ name: file.webkitRelativePath || file.name, file }));

async function below(entry, path = "") {
  if (entry.isFile) return [{ name: path + entry.name, file: await new Promise((done, failed) => entry.file(done, failed)) }];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found;
    for (const one of some) found.push(...(await below(one, `${path}${entry.name}/`)));
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].map((one) => one.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return named(transfer.files);
  return (await Promise.all(entries.map((one) => below(one)))).flat();
}

byId("cohort").addEventListener("change", (event) => { state.cohort = Number(event.target.value); state.study = 0; guarded(loadStudy); });
byId("study").addEventListener("change", (event) => { state.study = Number(event.target.value); guarded(loadStudy); });
byId("beside").addEventListener("change", (event) => { state.beside = event.target.value === "" ? null : Number(event.target.value); guarded(loadStudy); });
byId("run").addEventListener("change", () => { showRun(); if (state.shown) showScans(); });
byId("overlay").addEventListener("change", () => guarded(() => queued(showOverlay)));
byId("opacity").addEventListener("input", () => { for (const { viewer } of state.panels) if (viewer.volumes.length > 1) viewer.setOpacity(1, Number(byId("opacity").value)); });
byId("before").addEventListener("click", () => move(-1));
byId("after").addEventListener("click", () => move(1));
byId("linked").addEventListener("click", () => { state.linked = !state.linked; link(); });
byId("reset").addEventListener("click", reset);
byId("make").addEventListener("click", () => guarded(() => start({ verb: "predict", studies: [state.shown.id] })));
byId("whole").addEventListener("click", () => guarded(() => start({ verb: "predict" })));
byId("planes").addEventListener("click", (event) => { if (event.target.dataset.planes) { state.planes = event.target.dataset.planes; applyPlanes(); } });
for (const name of ["file", "folder"]) byId(name).addEventListener("change", (event) => guarded(() => take(named(event.target.files))));
byId("result").addEventListener("change", () => guarded(showResult));
byId("table").addEventListener("change", () => guarded(showResult));
byId("only").addEventListener("change", () => guarded(showResult));
byId("system").addEventListener("change", showSystem);
byId("fit").addEventListener("click", () => guarded(() => start({ verb: "fit", system: byId("system").value, preset: byId("preset").value })));
byId("check").addEventListener("click", () => guarded(() => start({ verb: "check" })));
for (const name of ["dragover", "dragleave", "drop"]) document.addEventListener(name, (event) => {
  event.preventDefault();
  byId("drop").classList.toggle("over", name === "dragover");
  if (name === "drop" && event.dataTransfer.files.length) { const files = dropped(event.dataTransfer); guarded(async () => take(await files)); }
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
setInterval(() => { if (!state.polling && state.jobs.some((job) => ["waiting", "running"].includes(job.state))) poll().catch((error) => { byId("fault").textContent = error.message; }); }, POLL_MS);
