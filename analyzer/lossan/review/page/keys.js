// Which key does what.

const CLASS_KEYS = "123456789adefghijlmnopqstvwy"; // letters that mean nothing else

const PLAIN = {
  k: "keep",
  u: "unsure",
  x: "exclude",
  z: "undo",
  "?": "help",
  "/": "choose",
  "+": "larger",
  "=": "larger",
  "-": "smaller",
  0: "fit",
  b: "brighter",
  B: "darker",
  c: "more contrast",
  C: "less contrast",
  r: "reset",
};
const NAMED = {
  Backspace: "back",
  ArrowLeft: "back",
  ArrowRight: "forward",
  Enter: "go-on",
};
const SHIFTED = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export const HELP = {
  Decide: [
    ["k", "keep the given label"],
    ["1 to 9", "this class, by its number, or letter after 9"],
    ["/", "choose a class by its name"],
    ["u", "unsure"],
    ["x", "exclude: of no use, whatever its label"],
    ["Enter", "blinded, once labels are shown: stay with it"],
    ["z", "undo the last decision"],
  ],
  Go: [
    ["←", "the image before; also Backspace"],
    ["→", "the next image, without a decision"],
    ["?", "these keys"],
    ["Esc", "close; give up a decision that is not saved"],
  ],
  Look: [
    ["+ −", "zoom; also the wheel, or two fingers"],
    ["0", "fit the image"],
    ["Shift + arrows", "move the image; also by dragging it"],
    ["b, Shift + b", "brighter, darker"],
    ["c, Shift + c", "more contrast, less"],
    ["r", "all as it was"],
  ],
};

export const classKey = (place) => CLASS_KEYS[place] ?? null;

// Return { command } or { place } of a class, null where the key is none of ours.
export function meaning(event, single) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.shiftKey && event.key in SHIFTED) return { command: SHIFTED[event.key] };
  if (event.key in NAMED) return { command: NAMED[event.key] };
  if (!single) return event.key === "?" ? { command: "help" } : null;
  // On a keyboard of another script the place of a key counts, not what it writes.
  const latin = /^[\x20-\x7e]$/.test(event.key);
  const placed = (/^\p{Nd}$/u.test(event.key) ? /^(?:Digit|Numpad)(\d)$/ : /^Key([A-Z])$/).exec(event.code);
  const key = latin || placed === null ? event.key : placed[1].toLowerCase();
  const cased = event.shiftKey ? key.toUpperCase() : key.toLowerCase(); // whatever CapsLock does
  const command = PLAIN[cased] ?? PLAIN[key.toLowerCase()];
  if (command !== undefined) return { command };
  const place = CLASS_KEYS.indexOf(key.toLowerCase());
  return key.length === 1 && place >= 0 ? { place } : null;
}
