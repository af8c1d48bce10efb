// The page: sending, watching, opening and removing songs. Plot and player are in other files.
import { Player } from "./player.js";
import { Plot } from "./plot.js";
import { clock, element, size, tone } from "./words.js";

const POLL_MS = 400;
const ALIVE_MS = 20000; // how often a finished song is requested, which keeps it
const MOST_ROWS = 500; // of the table of notes
const MOST_COMPLAINTS = 6; // lines in the alert
const byId = (id) => document.getElementById(id);
const songs = new Map(); // id -> {state, item}
const player = new Player();
const plot = new Plot({
  box: byId("plot"), canvas: byId("score"), cursor: byId("cursor"),
  overview: byId("overview"), wave: byId("wave"), window: byId("window"), mark: byId("mark"),
}, player);
let shown = null; // id of the song in the studio
let complaints = [];
if (location.search) history.replaceState(null, "", location.pathname); // a token is no address

function say(text) {
  byId("status").textContent = text;
}

/** Add a line to the alert, which holds what went wrong since the visitor last did something. */
function complain(text) {
  if (!complaints.includes(text)) complaints.push(text);
  const lines = complaints.slice(0, MOST_COMPLAINTS);
  if (complaints.length > MOST_COMPLAINTS) {
    lines.push(`And ${complaints.length - MOST_COMPLAINTS} more like these.`);
  }
  byId("alert").hidden = false;
  byId("alert").textContent = lines.join("\n");
}

/** Complain of a song, by its name. */
function complainOf(name, message) {
  complain(message.includes(name) ? message : `${name}: ${message}`);
}

function hush() {
  complaints = [];
  byId("alert").hidden = true;
  byId("alert").textContent = "";
}

async function ask(path, options) {
  try {
    const answer = await fetch(path, options);
    const data = answer.status === 204 ? {} : await answer.json();
    return answer.ok ? data : { failed: answer.status, message: data.message };
  } catch {
    return { failed: 0, message: "The server does not answer: check that it is still running." };
  }
}

// ---- sending ----

/** Send files, as many as the page keeps; those that are not sent are named. */
function sendAll(files) {
  hush();
  const { megabytes, songs: most } = document.body.dataset;
  const fits = (file) => file.size <= Number(megabytes) * 1e6;
  for (const file of files.filter((one) => !fits(one))) {
    complain(`${file.name} is larger than ${megabytes} MB, the most that this page accepts: ` +
      "send a shorter or compressed file (FLAC, MP3).");
  }
  const wanted = files.filter(fits);
  const room = Math.max(Number(most) - byId("songs").children.length, 0);
  const left = wanted.slice(room).map((file) => file.name);
  if (left.length) {
    complain(`This page keeps ${most} songs at a time, so ${left.length} of ${wanted.length} were ` +
      `not sent: ${left.join(", ")}. Remove songs first, then send these again.`);
  }
  wanted.slice(0, room).forEach(send);
}

function send(file) {
  const item = addItem(file.name);
  item.what.textContent = "sending";
  const request = new XMLHttpRequest(); // fetch does not report progress
  request.open("POST", "songs");
  request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
  request.upload.onprogress = (event) => {
    if (event.lengthComputable) item.progress.value = event.loaded / event.total;
  };
  request.onload = () => {
    let data = {};
    try { data = JSON.parse(request.responseText); } catch { /* an answer from a proxy */ }
    accept(item, request.status === 202 ? data : { failed: request.status, ...data });
  };
  request.onerror = () => accept(item, {
    failed: 0, message: `${file.name} could not be sent: check that the server is running.`,
  });
  item.remove.onclick = () => { request.abort(); item.row.remove(); tidy(); };
  request.send(file);
  say(`Sending ${file.name}.`);
}

async function sendDemo() {
  hush();
  const item = addItem("Demo song");
  accept(item, await ask("demo-song", { method: "POST" }));
}

function accept(item, data) {
  if (data.failed !== undefined) {
    item.row.remove();
    tidy();
    complainOf(item.name.textContent, data.message || "The song was refused.");
    return;
  }
  songs.set(data.id, { state: data, item });
  item.name.textContent = data.name;
  item.row.dataset.song = data.id;
  item.remove.onclick = () => remove(data.id);
  item.open.onclick = () => show(data.id);
  item.remove.setAttribute("aria-label", `Remove ${data.name}`);
  item.open.setAttribute("aria-label", `Open ${data.name}`);
  update(data);
  watch(data.id);
}

// ---- the list ----

function addItem(name) {
  byId("queue").hidden = false;
  const item = {
    row: element("li"),
    name: element("span", { className: "name", textContent: name }),
    what: element("span", { className: "what" }),
    progress: element("progress", { max: 1 }),
    open: element("button", { type: "button", textContent: "Open", hidden: true }),
    remove: element("button", { type: "button", textContent: "Remove" }),
  };
  item.progress.setAttribute("aria-label", `Progress of ${name}`);
  item.row.append(item.name, item.what, item.progress, item.open, item.remove);
  byId("songs").append(item.row);
  return item;
}

function update(state) {
  const { item } = songs.get(state.id);
  const before = songs.get(state.id).state.state;
  songs.get(state.id).state = state;
  item.row.className = state.state;
  item.progress.hidden = !["arriving", "waiting", "working"].includes(state.state);
  if (state.state === "working" && state.share !== null) item.progress.value = state.share;
  else item.progress.removeAttribute("value");
  item.open.hidden = state.state !== "done";
  item.what.textContent = {
    arriving: "sending",
    waiting: state.before === 1 ? "waiting for one song" : `waiting for ${state.before} songs`,
    working: "being separated",
    done: state.message || "ready",
    failed: state.message,
  }[state.state];
  if (state.state === "waiting" && !state.before) item.what.textContent = "next";
  if (state.state === before) return;
  if (state.state === "failed") complainOf(state.name, state.message);
  else say(`${state.name}: ${item.what.textContent}.`);
}

async function watch(id) {
  while (songs.has(id)) {
    const answer = await ask(`songs/${id}`);
    if (!songs.has(id)) return;
    if (answer.failed === 404) {
      const { name } = songs.get(id).state;
      forget(id);
      complainOf(name, answer.message);
      return;
    }
    if (answer.failed === undefined) {
      const first = songs.get(id).state.state !== answer.state;
      update(answer);
      if (answer.state === "done" && first && shown === null) show(id);
    }
    const over = ["done", "failed"].includes(songs.get(id).state.state);
    await new Promise((resume) => setTimeout(resume, over ? ALIVE_MS : POLL_MS));
  }
}

async function remove(id) {
  const { item } = songs.get(id);
  const next = item.row.nextElementSibling ?? item.row.previousElementSibling;
  forget(id);
  (next?.querySelector("button:not([hidden])") ?? byId("file")).focus();
  await ask(`songs/${id}`, { method: "DELETE" });
  say("Removed.");
}

function forget(id) {
  songs.get(id)?.item.row.remove();
  songs.delete(id);
  if (shown === id) {
    shown = null;
    player.stop();
    byId("studio").hidden = true;
  }
  tidy();
}

function tidy() {
  byId("queue").hidden = !byId("songs").children.length;
}

// ---- the studio ----

async function show(id) {
  const { state } = songs.get(id);
  const view = await ask(`songs/${id}/view`);
  if (view.failed !== undefined) return complain(view.message);
  shown = id;
  const url = (name) => `songs/${id}/files/${encodeURIComponent(name)}`;
  byId("studio").hidden = false;
  byId("title").textContent = state.name;
  byId("remark").textContent = state.message;
  byId("remark").hidden = !state.message;
  byId("end").textContent = clock(view.seconds, 0);
  player.load(Object.keys(view.waves), (stem) => url(`${stem}.wav`), view.seconds);
  plot.load(view, url);
  fillStems();
  fillFiles(id, state, url);
  fillNotes(view.notes);
  say(`${state.name} is ready, ${view.notes.length} notes.`);
  byId("title").focus({ preventScroll: true });
  byId("studio").scrollIntoView({ block: "nearest" });
}

function fillStems() {
  byId("stems").replaceChildren(...player.stems.map((stem) => {
    const name = element("span", { className: "name", textContent: stem.name });
    const mute = element("button", { type: "button", textContent: "Mute" });
    const solo = element("button", { type: "button", textContent: "Solo" });
    const volume = element("input", { type: "range", min: 0, max: 100, value: 100 });
    mute.setAttribute("aria-label", `Mute ${stem.name}`);
    solo.setAttribute("aria-label", `Solo ${stem.name}`);
    volume.setAttribute("aria-label", `Volume of ${stem.name}`);
    mute.onclick = () => player.set(stem.name, { muted: !stem.muted });
    solo.onclick = () => player.set(stem.name, { solo: !stem.solo });
    volume.oninput = () => player.set(stem.name, { volume: volume.value / 100 });
    stem.changed = () => {
      mute.setAttribute("aria-pressed", stem.muted);
      solo.setAttribute("aria-pressed", stem.solo);
    };
    stem.changed();
    const row = element("li");
    row.append(name, mute, solo, volume);
    return row;
  }));
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "");
}

function fillFiles(id, state, url) {
  const links = state.files.map(({ name, bytes }) => [name, `${url(name)}?download`, size(bytes)]);
  links.push(["everything as a ZIP file", `songs/${id}/zip`, ""]);
  byId("files").replaceChildren(...links.map(([name, href, bytes]) => {
    const row = element("li");
    row.append(
      element("a", { href, textContent: name, download: "" }),
      element("span", { className: "size", textContent: bytes }),
    );
    for (const other of state.converted.filter((one) => stem(one) === stem(name))) {
      const link = element("a", {
        href: `${url(other)}?download`, textContent: other.split(".").pop().toUpperCase(),
        download: "", className: "other",
      });
      link.setAttribute("aria-label", other);
      row.append(link);
    }
    return row;
  }));
}

function fillNotes(notes) {
  byId("notes-part").hidden = !notes.length;
  const rows = notes.slice(0, MOST_ROWS);
  byId("notes").replaceChildren(...rows.map(([start, end, midi, confidence = 1]) => {
    const row = element("tr");
    const go = element("button", { type: "button", textContent: clock(start, 2) });
    go.setAttribute("aria-label", `Go to ${clock(start, 2)}`);
    go.onclick = () => { player.seek(start); plot.reveal(start); };
    const cents = Math.round(100 * (midi - Math.round(midi)));
    const off = cents > 0 ? `+${cents}` : `${cents}`;
    const cells = ["", (end - start).toFixed(2), tone(midi), off, confidence.toFixed(2)];
    row.append(...cells.map((text) => element("td", { textContent: text })));
    row.firstChild.append(go);
    return row;
  }));
  byId("more").hidden = notes.length <= MOST_ROWS;
  byId("more").textContent = `notes.csv contains ${notes.length - MOST_ROWS} more.`;
}

player.onchange = () => {
  byId("play").textContent = player.playing ? "Pause" : "Play";
};
player.onerror = () => complain("The browser cannot play this song: use the downloads, which are complete.");
player.ontime = (seconds) => {
  byId("now").textContent = clock(seconds, 1);
  byId("sung").textContent = plot.sungAt(seconds);
  plot.moveTo(seconds, player.playing);
};
byId("play").onclick = () => player.toggle();
byId("follow").onclick = () => {
  plot.follow = !plot.follow;
  byId("follow").setAttribute("aria-pressed", plot.follow);
};
byId("zoom-in").onclick = () => plot.zoom(2);
byId("zoom-out").onclick = () => plot.zoom(0.5);
byId("fit").onclick = () => plot.fit();

byId("file").onchange = (event) => {
  sendAll([...event.target.files]);
  event.target.value = ""; // the same file may be chosen again
};
byId("demo").onclick = sendDemo;
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  sendAll([...event.dataTransfer.files]);
});

addEventListener("pagehide", () => {
  if (songs.size) navigator.sendBeacon("leave", [...songs.keys()].join(" "));
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // its songs were removed when it was closed
});
