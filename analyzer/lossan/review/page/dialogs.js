// Dialogs: who reads, and a class by its name.

import { byId, element } from "./view.js";

// Give every button that closes its dialog its work.
export function closers() {
  for (const button of document.querySelectorAll("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
}

// Ask who reads until there is a name; `refused` says what the server has against the last one.
export function readerDialog(readers, refused = "") {
  const dialog = byId("who");
  const named = byId("name");
  byId("readers").replaceChildren(...readers.map((value) => element("option", { value })));
  return new Promise((answer) => {
    const chosen = (name) => {
      if (name.trim() === "") return;
      dialog.close();
      answer(name.trim());
    };
    byId("known").replaceChildren(
      ...readers.map((name) => {
        const button = element("button", { type: "button" }, name);
        button.addEventListener("click", () => chosen(name));
        return button;
      }),
    );
    dialog.oncancel = (event) => event.preventDefault();
    byId("who-form").onsubmit = (event) => {
      event.preventDefault();
      chosen(named.value);
    };
    named.oninput = () => named.setCustomValidity("");
    named.setCustomValidity(refused);
    dialog.showModal();
    if (refused !== "") named.reportValidity();
  });
}

// Let a class be chosen by typing a part of its name; Enter takes the first.
export function chooser(classes, view, chosen) {
  const dialog = byId("choose");
  const wanted = byId("wanted");
  const matching = () => {
    const text = wanted.value.trim().toLowerCase();
    const named = classes.map(({ label }) => ({ label, name: view.called(label), own: String(label) }));
    const holds = named.filter((c) => `${c.own} ${c.name}`.toLowerCase().includes(text));
    // The class of this very name comes first, then those whose names begin so.
    const nearer = [(name) => name === text, (name) => name.startsWith(text)];
    const rank = (c) => {
      const found = nearer.findIndex((fits) => fits(c.name.toLowerCase()) || fits(c.own.toLowerCase()));
      return found >= 0 ? found : nearer.length;
    };
    return holds.sort((one, other) => rank(one) - rank(other)).slice(0, 20);
  };
  const choose = (label) => {
    dialog.close();
    chosen(label);
  };
  const list = () => {
    byId("found").replaceChildren(
      ...matching().map(({ label, name }) => {
        const button = element("button", { type: "button" }, name);
        button.addEventListener("click", () => choose(label));
        return button;
      }),
    );
  };
  wanted.value = "";
  wanted.oninput = list;
  byId("choose-form").onsubmit = (event) => {
    event.preventDefault();
    const [first] = matching();
    if (first !== undefined) choose(first.label);
  };
  list();
  dialog.showModal();
}
