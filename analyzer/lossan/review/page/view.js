// What the page says. Everything from the server is put in as text, never as markup.

import { HELP, classKey } from "./keys.js";

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export class View {
  #names = new Map(); // label -> what it is called
  #buttons = []; // one per class, in order

  // Make the buttons of the classes; `choose` is told which label was chosen.
  classes(classes, choose) {
    this.#names = new Map(classes.map(({ label, name }) => [label, name ?? String(label)]));
    this.#buttons = classes.map(({ label, name }, place) => {
      const key = classKey(place);
      const words = element("span", { className: "label" }, String(label));
      if (name !== null) words.append(element("small", {}, ` ${name}`));
      words.append(element("small", { className: "mark" }));
      const button = element("button", { type: "button" }, words);
      if (key !== null) {
        button.prepend(element("kbd", {}, key));
        button.setAttribute("aria-keyshortcuts", key);
      }
      button.addEventListener("click", () => choose(label));
      return button;
    });
    byId("classes").replaceChildren(...this.#buttons);
    byId("classes").classList.toggle("many", classes.length > 6);
    byId("key-list").replaceChildren(...Object.entries(HELP).map(keys));
  }

  called(label) {
    return label === null ? "none" : (this.#names.get(label) ?? String(label));
  }

  // Return a decision in words.
  words(decision) {
    if (decision.action === "relabel") return `relabel to ${this.called(decision.label)}`;
    return decision.action;
  }

  item(item, classes, { number, total, adjudicating, revealed }) {
    byId("facts").replaceChildren(...this.#facts(item, number, adjudicating));
    const given = item.open ? item.given : null;
    const keep = byId("keep");
    keep.hidden = given === null;
    keep.replaceChildren(element("kbd", {}, "k"), ` Keep ${this.called(given)}`);
    classes.forEach(({ label }, place) => this.#mark(this.#buttons[place], label, item));
    const pressed = item.decision?.action;
    for (const command of ["keep", "unsure", "exclude"]) {
      const button = document.querySelector(`#choices [data-command=${command}]`);
      button.setAttribute("aria-pressed", String(pressed === command));
    }
    byId("go-on").hidden = !revealed;
    byId("why").textContent = item.why ?? "";
    byId("count").textContent = `${number} of ${total}`;
  }

  // Show no facts and no decision while there is no image.
  absent({ number, total }) {
    byId("facts").replaceChildren(element("h2", {}, `Image ${number}`));
    for (const button of document.querySelectorAll("#choices [aria-pressed]")) {
      button.setAttribute("aria-pressed", "false");
    }
    for (const mark of document.querySelectorAll("#choices .mark")) mark.textContent = "";
    byId("keep").replaceChildren(element("kbd", {}, "k"), " Keep");
    byId("go-on").hidden = true;
    byId("why").textContent = "";
    byId("count").textContent = `${number} of ${total}`;
  }

  // Return what a screen reader says of an image.
  spoken(item, { number, total }) {
    const told = [`Image ${number} of ${total}.`];
    if (item.open) told.push(`Given ${this.called(item.given)}.`);
    if (item.open && item.suggested !== null) {
      told.push(`Suggested ${this.called(item.suggested)}.`);
    }
    if (!item.open) told.push("Labels are hidden until your opinion.");
    if (item.decision !== null) told.push(`Decided: ${this.words(item.decision)}.`);
    return told.join(" ");
  }

  progress(told, queue, state) {
    const { reader, done, total } = queue;
    const { stopping, seconds, agreement, differ } = told;
    const left = total - done;
    const minutes = seconds === null ? null : Math.max(1, Math.round((left * seconds) / 60));
    const pace = seconds === null ? "" : `${seconds.toFixed(1)} s an image`;
    byId("pace").textContent = left > 0 && pace ? `${pace}, about ${minutes} min left` : pace;
    byId("advice").textContent = stopping.advice;
    byId("advice").classList.toggle("good", stopping.stop);
    const rows = [
      ["Reader", reader],
      ["Decided", `${done} of ${total}`],
      ["Wrong labels found", String(stopping.wrong_found)],
      ["Right labels in a row", String(stopping.clean_in_a_row)],
      [
        "Wrong labels expected among the others",
        stopping.expected_left === null ? "-" : stopping.expected_left.toFixed(stopping.expected_left < 10 ? 1 : 0),
      ],
      ["Time per image, median", seconds === null ? "-" : `${seconds.toFixed(1)} s`],
      ...agreement.map((pair) => [`${pair.readers.join(" and ")} agree`, agreed(pair)]),
    ];
    if (agreement.length) rows.push(["Images on which readers differ", String(differ)]);
    const table = element("table");
    for (const [name, value] of rows) {
      table.append(
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)),
      );
    }
    byId("status-text").replaceChildren(element("p", {}, stopping.advice), table);
    this.#ended(queue, state, stopping.queue_left);
  }

  // Say what the queue has come to, and what is next once all of it is decided.
  #ended({ done, total, adjudicating }, { folder, file }, left) {
    const whole = adjudicating ? "All differences are settled" : "All images are decided";
    byId("status-title").textContent = done < total ? "Progress" : whole;
    if (done < total) return;
    const more = [];
    if (left > 0 && !adjudicating) {
      const text = `${left.toLocaleString("en")} flagged samples are not in this queue; a larger --top, or none, takes them in.`;
      more.push(element("p", {}, text));
    }
    const next = element("p", {}, `Every decision stands in ${file}. The corrected labels are written by `);
    next.append(element("code", {}, `lossan apply LABELS ${folder} -o corrected.csv`));
    byId("status-text").append(...more, next);
  }

  #facts(item, number, adjudicating) {
    if (!item.open) {
      const alone = item.place === null || item.place[1] === 1;
      const where = alone ? "" : `Image ${item.place[0]} of ${item.place[1]} of its group. `;
      return [
        element("h2", {}, `Image ${number}`),
        element("p", { className: "soft" }, `${where}Names and labels are hidden until your opinion.`),
        ...this.#decided(item),
      ];
    }
    const found = [element("h2", {}, String(item.id))];
    const about = [`rank ${item.rank}`];
    if (item.group !== null && item.place !== null && item.place[1] > 1) {
      about.unshift(`${item.group}, image ${item.place[0]} of ${item.place[1]}`);
    } else if (item.group !== null) about.unshift(String(item.group));
    if (item.probability !== null) {
      about.push(`${chance(item.probability)} likely wrong`);
    }
    found.push(element("p", { className: "soft" }, about.join(" · ")));
    const labels = element("dl");
    for (const [name, label] of [["Given", item.given], ["Suggested", item.suggested]]) {
      if (label === null && name === "Suggested") continue;
      labels.append(
        element("div", {}, element("dt", {}, name), element("dd", {}, this.called(label))),
      );
    }
    found.push(labels);
    if (adjudicating && item.opinions) {
      const said = item.opinions.map((o) =>
        element("li", {}, element("strong", {}, o.reader), `: ${this.words(o)}`),
      );
      found.push(element("ul", { className: "opinions" }, ...said));
    }
    return [...found, ...this.#decided(item)];
  }

  #decided(item) {
    if (item.decision === null) return [];
    const words = `Decided: ${this.words(item.decision)}`;
    return [element("p", { className: "decided" }, words)];
  }

  #mark(button, label, item) {
    const marks = [];
    if (item.open && label === item.given) marks.push("given");
    if (item.open && label === item.suggested) marks.push("suggested");
    button.querySelector(".mark").textContent = marks.join(", ");
    const chosen = item.decision?.action === "relabel" && item.decision.label === label;
    button.setAttribute("aria-pressed", String(chosen));
  }
}

function keys([title, rows]) {
  const table = element("table", {}, element("caption", {}, title));
  for (const [key, does] of rows) {
    const name = element("th", { scope: "row" }, element("kbd", {}, key));
    table.append(element("tr", {}, name, element("td", {}, does)));
  }
  return table;
}

// Write a probability so that what is not certain is not called so.
function chance(value) {
  const share = Math.round(100 * value);
  if (share < 1) return "less than 1%";
  return share < 100 ? `${share}%` : "more than 99%";
}

function agreed({ n, agreement, kappa, low, high }) {
  const share = `${Math.round(100 * agreement)}% of ${n}`;
  if (kappa === null) return share;
  return `${share}, kappa ${kappa.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}
