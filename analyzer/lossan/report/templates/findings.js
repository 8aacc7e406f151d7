"use strict";
// Sorts and filters the suspects that stand in the page; without it all of them are shown.
const list = document.getElementById("list");
const controls = document.getElementById("controls");
const count = document.getElementById("count");
const collator = new Intl.Collator("en", { numeric: true });
const number = (name) => (a, b) => Number(b.dataset[name]) - Number(a.dataset[name]);
const orders = {
  rank: (a, b) => a.dataset.rank - b.dataset.rank,
  probability: number("probability"),
  loss: number("loss"),
  label: (a, b) => collator.compare(a.dataset.given, b.dataset.given),
  name: (a, b) => collator.compare(a.dataset.name, b.dataset.name),
};
const cards = Array.from(list.children);
const texts = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));
let order = "rank";

function shown(card) {
  const { flag, label, pair, text } = controls.elements;
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  return (
    (!flag.value || card.dataset.flagged === flag.value) &&
    (!label.value || card.dataset.label === label.value) &&
    (!pair.value || card.dataset.pair === pair.value) &&
    words.every((word) => texts.get(card).includes(word))
  );
}

function update() {
  const wanted = controls.elements.sort.value;
  if (wanted !== order) {
    order = wanted;
    // equal ones keep the order of suspicion
    const sorted = cards.slice().sort((a, b) => orders[order](a, b) || orders.rank(a, b));
    list.append(...sorted);
  }
  let visible = 0;
  for (const card of cards) {
    card.hidden = !shown(card);
    visible += !card.hidden;
  }
  count.textContent = `${visible.toLocaleString("en")} of ${cards.length.toLocaleString("en")} shown`;
}

let waiting = 0;
controls.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(update, 80);
});
controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("reset", () => setTimeout(update));
controls.hidden = false;
update(); // a page that is opened again may come with what was chosen before
