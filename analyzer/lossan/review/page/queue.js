// The queue: which images there are, which are decided, and what is known of each.

import { getItems } from "./api.js";

const BEHIND = 2; // places that are asked about together
const AHEAD = 30;
const LEAST = 8; // places ahead that are always known

export class Queue {
  #items = new Map(); // row -> item

  constructor(state) {
    this.rows = state.queue;
    this.decided = state.decided;
    this.reader = state.reader;
    this.adjudicating = state.adjudicating;
  }

  get total() {
    return this.rows.length;
  }

  get done() {
    return this.decided.filter(Boolean).length;
  }

  // Return the first undecided place from one on, then from the start; null where there is none.
  undecided(from) {
    const later = this.decided.indexOf(false, from);
    const found = later >= 0 ? later : this.decided.indexOf(false);
    return found >= 0 ? found : null;
  }

  // Return the places that are likely to be wanted after one.
  after(place, count) {
    const open = [];
    for (let at = place + 1; at < this.total && open.length < count; at += 1) {
      if (!this.decided[at]) open.push(at);
    }
    return [...open, Math.max(0, place - 1), Math.min(this.total - 1, place + 1)];
  }

  async item(place) {
    if (!this.#items.has(this.rows[place])) await this.#ask(place);
    return this.#items.get(this.rows[place]);
  }

  // Ask about what comes next before it is wanted.
  async prepare(place) {
    const next = this.after(place, LEAST).find((at) => !this.#items.has(this.rows[at]));
    if (next !== undefined) await this.#ask(next);
  }

  // Take in what the server says of a sample, and which place it has; -1 where it has none.
  update(item) {
    this.#items.set(item.row, item);
    const place = this.rows.indexOf(item.row);
    if (place >= 0) this.decided[place] = item.decision !== null;
    return place;
  }

  async #ask(place) {
    const rows = this.rows.slice(Math.max(0, place - BEHIND), place + AHEAD);
    for (const item of await getItems(rows, this.reader, this.adjudicating)) this.update(item);
  }
}
