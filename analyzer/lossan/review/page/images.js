// Images, fetched and decoded before they are wanted.

import { getImage } from "./api.js";

const KEPT = 12; // images in memory

export class Images {
  #known = new Map(); // row -> promise of { image } or { trouble }

  // Return the image of a row; a failed one is asked for anew the next time.
  get(row) {
    let found = this.#known.get(row);
    if (found === undefined) {
      found = load(row);
      found.then((result) => result.trouble && this.#known.delete(row));
    }
    this.#known.delete(row); // the last used one comes last
    this.#known.set(row, found);
    this.#forget();
    return found;
  }

  prepare(rows) {
    for (const row of rows) if (!this.#known.has(row)) this.get(row);
  }

  #forget() {
    for (const [row, found] of this.#known) {
      if (this.#known.size <= KEPT) return;
      this.#known.delete(row);
      found.then(({ image }) => image && URL.revokeObjectURL(image.src));
    }
  }
}

async function load(row) {
  const image = new Image();
  try {
    image.src = URL.createObjectURL(await getImage(row));
  } catch (error) {
    return { trouble: error.message.replace(/\.$/, "") }; // it ends the page's own sentence
  }
  try {
    await image.decode();
  } catch {
    URL.revokeObjectURL(image.src);
    return { trouble: "it is broken, or of a kind this browser does not know" };
  }
  return { image };
}
