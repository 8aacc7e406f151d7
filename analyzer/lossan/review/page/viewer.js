// The image: zoom, pan, brightness and contrast.

const STEP = 1.25;
const LARGEST = 40; // times its own size
const LEVEL_STEP = 10; // percent

export class Viewer {
  #stage;
  #image = null;
  #scale = 1;
  #x = 0;
  #y = 0;
  #fitted = true;
  #pointers = new Map();
  #levels;

  constructor(stage, brightness, contrast) {
    this.#stage = stage;
    this.#levels = { brightness, contrast };
    for (const slider of [brightness, contrast]) {
      slider.addEventListener("input", () => this.#light());
    }
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    stage.addEventListener("dblclick", (event) => this.#toggle(event));
    new ResizeObserver(() => (this.#fitted ? this.fit() : this.#place())).observe(stage);
  }

  show(image, name) {
    this.#image = image;
    image.alt = name;
    image.draggable = false;
    this.fit();
    this.#light();
    this.#stage.replaceChildren(image);
  }

  // Show words in the image's place.
  say(...words) {
    this.#image = null;
    this.#stage.replaceChildren(...words);
  }

  fit() {
    if (this.#image === null) return;
    const { clientWidth, clientHeight } = this.#stage;
    const { naturalWidth: width, naturalHeight: height } = this.#image;
    this.#scale = Math.min(clientWidth / width, clientHeight / height) || 1;
    this.#x = (clientWidth - width * this.#scale) / 2;
    this.#y = (clientHeight - height * this.#scale) / 2;
    this.#fitted = true;
    this.#place();
  }

  zoom(steps) {
    const { clientWidth, clientHeight } = this.#stage;
    this.#zoomAt(STEP ** steps, clientWidth / 2, clientHeight / 2);
  }

  pan(right, down) {
    this.#x -= right * this.#stage.clientWidth * 0.15;
    this.#y -= down * this.#stage.clientHeight * 0.15;
    this.#fitted = false;
    this.#place();
  }

  change(level, steps) {
    const slider = this.#levels[level];
    slider.value = Number(slider.value) + steps * LEVEL_STEP;
    this.#light();
  }

  reset() {
    for (const slider of Object.values(this.#levels)) slider.value = 100;
    this.#light();
    this.fit();
  }

  #light() {
    const { brightness, contrast } = this.#levels;
    for (const slider of [brightness, contrast]) {
      slider.setAttribute("aria-valuetext", `${slider.value} percent`);
    }
    if (this.#image === null) return;
    const plain = brightness.value === "100" && contrast.value === "100";
    this.#image.style.filter = plain
      ? ""
      : `brightness(${brightness.value}%) contrast(${contrast.value}%)`;
  }

  #zoomAt(factor, x, y) {
    if (this.#image === null) return;
    const least = 0.02;
    const scale = Math.min(LARGEST, Math.max(least, this.#scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#fitted = false;
    this.#place();
  }

  #place() {
    if (this.#image === null) return;
    // Some of the image stays in sight, wherever it is moved.
    const { clientWidth, clientHeight } = this.#stage;
    const width = this.#image.naturalWidth * this.#scale;
    const height = this.#image.naturalHeight * this.#scale;
    const edge = 48;
    this.#x = Math.min(clientWidth - edge, Math.max(edge - width, this.#x));
    this.#y = Math.min(clientHeight - edge, Math.max(edge - height, this.#y));
    this.#image.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#inside(event);
    this.#zoomAt(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), x, y);
  }

  #down(event) {
    this.#stage.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#inside(event));
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (before === undefined) return;
    const now = this.#inside(event);
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, now);
    if (other !== undefined) {
      const apart = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
      this.#zoomAt(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
      return;
    }
    this.#x += now.x - before.x;
    this.#y += now.y - before.y;
    this.#fitted = false;
    this.#place();
  }

  #toggle(event) {
    if (!this.#fitted) return this.fit();
    const { x, y } = this.#inside(event);
    return this.#zoomAt(Math.max(2, 1 / this.#scale), x, y);
  }

  #inside(event) {
    const box = this.#stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
}
