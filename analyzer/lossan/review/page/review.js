// A reader at work: an image, a key, the decision on disk, the next image.

import { getProgress, getState, postDecision } from "./api.js";
import { chooser, closers, readerDialog } from "./dialogs.js";
import { Images } from "./images.js";
import { meaning } from "./keys.js";
import { Queue } from "./queue.js";
import { View, byId, element } from "./view.js";
import { Viewer } from "./viewer.js";

const PREPARED = 5; // images ahead
const SLOW = 300; // ms until an image that is not there yet is said to be loading
const AGAIN = 2000; // ms until a decision that was not saved is sent again

const view = new View();
const viewer = new Viewer(byId("stage"), byId("brightness"), byId("contrast"));
const images = new Images();
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

let state; // what the server said of this review
let queue;
let place = 0;
let item = null; // of the image that is shown, null while none is
let last = null; // the decision that an undo takes back
let revealed = false; // blinded, and the labels are shown after the first opinion
let busy = false; // a decision is on its way: keys wait for it
let givenUp = false;
let watch = { since: 0, before: 0 };

// Time the image was looked at, in ms; hidden tabs do not count.
const looked = () => watch.before + (document.hidden ? 0 : performance.now() - watch.since);

function say(words) {
  byId("live").textContent = words;
}

function trouble(words) {
  byId("trouble").hidden = words === null;
  byId("trouble").textContent = words ?? "";
}

async function show(wanted) {
  place = wanted;
  item = null;
  revealed = false;
  const at = place;
  const row = queue.rows[place];
  const waiting = setTimeout(absent, SLOW, "is loading");
  let found, picture;
  try {
    [found, picture] = await Promise.all([queue.item(at), images.get(row)]);
  } catch (error) {
    if (at === place) absent(`cannot be shown: ${error.message.replace(/\.$/, "")}`);
    throw error;
  } finally {
    clearTimeout(waiting);
  }
  if (at !== place) return; // another was asked for meanwhile
  item = found;
  const told = context();
  view.item(item, state.classes, told);
  const name = item.open ? `Image ${told.number}: ${item.id}` : `Image ${told.number}`;
  if (picture.image) viewer.show(picture.image, name);
  else viewer.say(element("p", { className: "none" }, `The image cannot be shown: ${picture.trouble}.`));
  say(`${picture.image ? "" : `The image cannot be shown: ${picture.trouble}. `}${view.spoken(item, told)}`);
  byId("stage").dataset.row = row;
  watch = { since: performance.now(), before: 0 };
  images.prepare(queue.after(place, PREPARED).map((next) => queue.rows[next]));
  await queue.prepare(place);
}

// Say so of an image that is not there: the one before must not stay as if it were this one.
function absent(why) {
  const words = `Image ${place + 1} ${why}.`;
  viewer.say(element("p", { className: "none" }, words));
  delete byId("stage").dataset.row;
  view.absent(context());
  say(words);
}

const context = () => ({
  number: place + 1,
  total: queue.total,
  adjudicating: queue.adjudicating,
  revealed,
});

// Show an image, and say so where that fails; once one is shown, what was said before is over.
function go(wanted) {
  show(wanted).then(
    () => trouble(null),
    (error) => trouble(error.message),
  );
}

function count() {
  byId("bar").max = queue.total;
  byId("bar").value = queue.done;
  byId("bar").setAttribute("aria-valuetext", `${queue.done} of ${queue.total} decided`);
}

let asked = 0;
async function progress() {
  const now = ++asked;
  await pause(300); // keys that follow soon ask once
  if (now !== asked) return;
  const told = await getProgress(queue.reader);
  if (now === asked) view.progress(told, queue, state);
}

const inform = () => progress().catch(() => {}); // the next decision asks again

// Send a press until the server has it on disk; null where it was refused or given up.
async function save(press) {
  givenUp = false;
  for (;;) {
    try {
      const answer = await postDecision(press);
      trouble(null);
      return answer;
    } catch (error) {
      if (!error.passes) {
        trouble(`Not saved. ${error.message}`);
        await reload();
        return null;
      }
      trouble(`Not saved yet: ${error.message} It is sent again by itself; Esc gives it up.`);
      await pause(AGAIN);
      if (givenUp) {
        trouble("Not saved: given up. Decide again.");
        return null;
      }
    }
  }
}

async function press(action, more = {}) {
  if (busy || item === null) return;
  busy = true;
  document.body.classList.add("saving");
  const sent = {
    id: crypto.randomUUID?.() ?? randomId(),
    reader: queue.reader,
    row: item.row,
    action,
    position: place,
    seconds: Math.round(looked()) / 1000,
    replaces: item.decision?.id ?? null,
    adjudication: queue.adjudicating,
    ...more,
  };
  try {
    const answer = await save(sent);
    if (answer !== null) after(sent, answer);
  } finally {
    busy = false;
    document.body.classList.remove("saving");
  }
}

// A page that was not reached as localhost has no randomUUID.
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

function after(sent, answer) {
  const first = !item.open;
  last = answer.last;
  const decided = queue.update(answer.item);
  count();
  inform();
  if (sent.action === "undo") {
    say("Taken back.");
    if (decided >= 0) go(decided);
    return;
  }
  const agrees = answer.item.decision.action === "keep";
  if (first && !agrees) return reveal(answer.item);
  return next(sent.replaces !== null);
}

function reveal(opened) {
  item = opened;
  revealed = true;
  view.item(item, state.classes, context());
  // Enter would press the class that was clicked or tabbed to once more.
  if (document.activeElement?.closest("#choices")) byId("go-on").focus();
  say(`${view.spoken(item, context())} Enter stays with it.`);
}

function next(changed = false) {
  const wanted = queue.undecided(place + 1);
  if (wanted !== null) return go(wanted);
  // Who looks through what is all decided, and changes something, goes on looking through.
  if (changed && place + 1 < queue.total) return go(place + 1);
  return finish();
}

async function finish() {
  item = null;
  viewer.say(element("p", { className: "none" }, "All images of the queue are decided."));
  byId("facts").replaceChildren();
  byId("why").textContent = "";
  byId("go-on").hidden = true;
  say("All images of the queue are decided.");
  await openStatus().catch((error) => trouble(error.message));
}

async function openStatus() {
  const [told, now] = await Promise.all([
    getProgress(queue.reader),
    getState(queue.reader, queue.adjudicating),
  ]);
  view.progress(told, queue, state);
  const actions = [];
  if (now.may_adjudicate && told.differ > 0 && !queue.adjudicating) {
    const text = `Adjudicate ${told.differ} on which readers differ`;
    actions.push(button(text, () => begin(queue.reader, true)));
    actions[0].className = "strong";
  }
  if (queue.adjudicating && !state.only_differences) {
    actions.push(button("Back to the queue", () => begin(queue.reader, false)));
  }
  if (now.fixed_reader === null) actions.push(button("Read as somebody else", leave));
  if (queue.done > 0) actions.push(button("Look through from the first", () => go(0)));
  byId("status-actions").replaceChildren(...actions);
  if (!byId("status").open) byId("status").showModal();
}

function leave() {
  sessionStorage.removeItem("reader");
  location.reload();
}

function button(text, does) {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", () => {
    byId("status").close();
    does();
  });
  return made;
}

function undo() {
  if (last === null) return say("There is nothing to take back.");
  if (last.adjudication !== queue.adjudicating) {
    return say("What you decided last is not of this queue.");
  }
  const sent = { undoes: last.id, row: last.row, replaces: null, seconds: null };
  return item === null ? undoAfterTheEnd(sent) : press("undo", sent);
}

// With no image shown, as at the end of the queue, the one decided last comes back.
async function undoAfterTheEnd(sent) {
  await show(Math.max(0, queue.rows.indexOf(sent.row)));
  return press("undo", sent);
}

function opinion(label) {
  if (label === undefined) return say("There is no such class.");
  return press("relabel", { label });
}

function keep() {
  if (item !== null && (!item.open || item.given === null)) {
    return say(item.open ? "There is no given label to keep." : "Say which class it is.");
  }
  return press("keep");
}

const COMMANDS = {
  keep,
  unsure: () => press("unsure"),
  exclude: () => press("exclude"),
  undo,
  back: () => !busy && go(item === null ? place : Math.max(0, place - 1)),
  forward: () => !busy && (revealed ? next() : go(Math.min(queue.total - 1, place + 1))),
  "go-on": () => !busy && revealed && next(),
  help: () => byId("keys").showModal(),
  choose: () => chooser(state.classes, view, opinion),
  larger: () => viewer.zoom(1),
  smaller: () => viewer.zoom(-1),
  fit: () => viewer.fit(),
  left: () => viewer.pan(-1, 0),
  right: () => viewer.pan(1, 0),
  up: () => viewer.pan(0, -1),
  down: () => viewer.pan(0, 1),
  brighter: () => viewer.change("brightness", 1),
  darker: () => viewer.change("brightness", -1),
  "more contrast": () => viewer.change("contrast", 1),
  "less contrast": () => viewer.change("contrast", -1),
  reset: () => viewer.reset(),
};
const REPEATED = new Set([
  ...["larger", "smaller", "left", "right", "up", "down", "back", "forward"],
  ...["brighter", "darker", "more contrast", "less contrast"],
]);

function onKey(event) {
  if (busy && event.key === "Escape") givenUp = true;
  if (queue === undefined || document.querySelector("dialog[open]") !== null) return;
  if (ownsKey(event.target, event.key)) return once(event);
  const found = meaning(event, byId("single").checked);
  if (found === null) return;
  // A key held down must not decide one image after another.
  if (event.repeat && !REPEATED.has(found.command)) return;
  event.preventDefault();
  if (found.command !== undefined) COMMANDS[found.command]();
  else opinion(state.classes[found.place]?.label);
}

// A browser presses the button that has the focus again and again while Enter is held down.
function once(event) {
  const command = event.target.dataset.command;
  if (event.key === "Enter" && event.repeat && !REPEATED.has(command)) event.preventDefault();
}

// Whether the element that has the focus uses a key itself.
function ownsKey(target, key) {
  // A dialog that was just closed may keep the focus until the next frame: it has no use for keys.
  if (target.closest?.("dialog")) return false;
  if (target instanceof HTMLInputElement) {
    return target.type !== "range" || /^(Arrow|Page|Home|End)/.test(key);
  }
  return target instanceof HTMLButtonElement && key === "Enter";
}

// Ask again how things stand, as after another tab's decision, and show the same image.
async function reload() {
  const row = queue.rows[place];
  take(await getState(queue.reader, queue.adjudicating));
  const same = queue.rows.indexOf(row);
  await show(same >= 0 ? same : (queue.undecided(0) ?? 0));
}

// A page that comes back into sight shows what was decided elsewhere meanwhile, if anything was.
async function catchUp() {
  const told = await getState(queue.reader, queue.adjudicating);
  const same = told.last?.id === last?.id && told.queue.length === queue.total;
  if (!same && !busy && !revealed) await reload();
}

function take(told) {
  state = { ...state, ...told };
  queue = new Queue(told);
  last = told.last;
  view.classes(told.classes, opinion);
  count();
  inform();
}

async function begin(reader, adjudicating) {
  take(await getState(reader, adjudicating));
  sessionStorage.setItem("reader", queue.reader);
  byId("findings").textContent = state.findings;
  byId("reader").textContent = queue.reader;
  byId("mode").textContent = queue.adjudicating ? "adjudication" : state.blinded ? "blinded" : "";
  document.title = `Review of ${state.findings}`;
  const first = queue.undecided(0); // null also of an empty queue
  return first === null ? finish() : show(first);
}

// Ask who reads, and again where the server does not take the name.
async function ask(told) {
  for (let refused = ""; ; ) {
    const reader = await readerDialog(told.readers, refused);
    try {
      return await begin(reader, told.only_differences);
    } catch (error) {
      if (error.status !== 422) throw error;
      refused = error.message;
    }
  }
}

async function start() {
  if (location.search) history.replaceState(null, "", "/"); // the token stays in the cookie alone
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => {
    const command = event.target.closest?.("[data-command]")?.dataset.command;
    if (command !== undefined && queue !== undefined) COMMANDS[command]();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) watch.before += performance.now() - watch.since;
    else watch.since = performance.now();
    if (!document.hidden && item !== null) catchUp().catch((error) => trouble(error.message));
  });
  byId("help").addEventListener("click", COMMANDS.help);
  byId("about").addEventListener("click", () => {
    if (queue !== undefined) openStatus().catch((error) => trouble(error.message));
  });
  closers();
  const told = await getState(null, false);
  state = told;
  const known = told.fixed_reader ?? sessionStorage.getItem("reader");
  await (known === null ? ask(told) : begin(known, told.only_differences));
}

start().catch((error) => trouble(error.message));
