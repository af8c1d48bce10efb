// The interactive plot: visible range, playback position, keyboard and mouse.
//
// The score is redrawn only when the view changes; elements on top of it move with the playback.
import { Score } from "./score.js";
import { clock, fitted, tone } from "./words.js";

const LEAST_SEC = 1; // shortest visible range
const FIRST_SEC = 30; // initial visible range
const TURN = 0.85; // part of the view at which playback scrolls it
const DRAG_PIXELS = 4; // shorter drags are clicks

export class Plot {
  /** `parts`: elements box, canvas, cursor, overview, wave, window, mark. */
  constructor(parts, player) {
    const { box, canvas, overview } = Object.assign(this, parts, { player });
    this.score = new Score(canvas);
    this.follow = true;
    this.time = 0;
    this.spoken = -1;
    new ResizeObserver(() => {
      this.score.draw();
      this.#drawWave();
    }).observe(box);
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#drag(box, (x) => this.player.seek(this.score.secondAt(x)));
    const jump = (event) => {
      if (event.buttons !== 1 || !this.view) return;
      const share = event.offsetX / overview.clientWidth;
      this.#show(share * this.view.seconds - this.span / 2, this.span);
    };
    overview.addEventListener("pointerdown", jump);
    overview.addEventListener("pointermove", jump);
  }

  /** Show another song; `url` maps the name of a picture to its address. */
  load(view, url) {
    this.score.load(view, url);
    this.time = 0;
    this.box.setAttribute("aria-valuemax", view.seconds.toFixed(1));
    this.#show(0, Math.min(view.seconds, FIRST_SEC));
    this.moveTo(0, false);
    this.#drawWave();
  }

  fit() {
    if (this.view) this.#show(0, this.view.seconds);
  }

  /** Zoom in (factor above 1) or out, around the playback position if visible, else the middle. */
  zoom(factor, about = null) {
    if (!this.view) return;
    const inside = this.time >= this.start && this.time <= this.start + this.span;
    const at = about ?? (inside ? this.time : this.start + this.span / 2);
    const least = Math.min(LEAST_SEC, this.view.seconds);
    const span = Math.min(Math.max(this.span / factor, least), this.view.seconds);
    this.#show(at - ((at - this.start) * span) / this.span, span);
  }

  /** Bring a time into view. */
  reveal(seconds) {
    if (seconds < this.start || seconds > this.start + this.span) {
      this.#show(seconds - 0.1 * this.span, this.span);
    }
  }

  /** Set the playback position. */
  moveTo(seconds, playing) {
    if (!this.view) return;
    this.time = seconds;
    if (this.follow && playing) {
      const at = (seconds - this.start) / this.span;
      const more = this.start + this.span < this.view.seconds - 0.01;
      if (at < 0 || (at > TURN && more)) this.#show(seconds - 0.1 * this.span, this.span);
    } else if (this.follow) {
      this.reveal(seconds);
    }
    this.#placeCursor();
    if (playing && Math.abs(seconds - this.spoken) < 5) return; // announcements would disturb the song
    this.spoken = seconds;
    this.box.setAttribute("aria-valuenow", seconds.toFixed(1));
    const sung = this.sungAt(seconds);
    this.box.setAttribute(
      "aria-valuetext",
      `${clock(seconds, 1)} of ${clock(this.view.seconds, 0)}, ${sung || "nothing sung"}`,
    );
  }

  /** The sung pitch at a time, in words. */
  sungAt(seconds) {
    const { pitch } = this.view ?? {};
    const cents = pitch?.cents[Math.round((seconds - pitch.start) / pitch.hop)];
    if (!cents) return "";
    const off = Math.round(cents - 100 * Math.round(cents / 100));
    const hz = Math.round(440 * 2 ** ((cents / 100 - 69) / 12));
    return `${tone(cents / 100)} ${off < 0 ? "−" : "+"}${Math.abs(off)} cents, ${hz} Hz`;
  }

  get view() { return this.score.view; }
  get start() { return this.score.start; }
  get span() { return this.score.span; }

  #show(start, span) {
    this.score.show(start, span);
    this.#placeCursor();
  }

  #placeCursor() {
    const at = (this.time - this.start) / this.span;
    this.cursor.hidden = at < -0.001 || at > 1.001;
    this.cursor.style.transform = `translateX(${this.score.x(this.time)}px)`;
    const scale = this.overview.clientWidth / this.view.seconds; // pixels per second
    this.mark.style.transform = `translateX(${this.time * scale}px)`;
    this.window.style.transform = `translateX(${this.start * scale}px)`;
    this.window.style.width = `${Math.max(this.span * scale, 4)}px`;
  }

  // ---- keys and mouse ----

  #key(event) {
    if (!this.view || event.altKey || event.ctrlKey || event.metaKey) return;
    const by = event.shiftKey ? 10 : 1;
    const starts = this.view.notes.map(([start]) => start);
    const to = (seconds) => {
      this.player.seek(seconds);
      this.reveal(Math.min(Math.max(seconds, 0), this.view.seconds));
    };
    const actions = {
      ArrowLeft: () => to(this.time - by),
      ArrowDown: () => to(this.time - by),
      ArrowRight: () => to(this.time + by),
      ArrowUp: () => to(this.time + by),
      Home: () => to(0),
      End: () => to(this.view.seconds),
      PageUp: () => this.#show(this.start - 0.8 * this.span, this.span),
      PageDown: () => this.#show(this.start + 0.8 * this.span, this.span),
      " ": () => this.player.toggle(),
      "+": () => this.zoom(2),
      "=": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      0: () => this.fit(),
      n: () => to(starts.find((start) => start > this.time + 0.01) ?? this.time),
      p: () => to(starts.findLast((start) => start < this.time - 0.01) ?? 0),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  #wheel(event) {
    if (!this.view) return;
    if (event.ctrlKey) {
      event.preventDefault();
      this.zoom(2 ** (-event.deltaY / 200), this.score.secondAt(event.offsetX));
    } else if (event.deltaX || event.shiftKey) {
      event.preventDefault();
      const pixels = event.deltaX || event.deltaY;
      this.#show(this.start + (pixels / this.score.width) * this.span, this.span);
    } // otherwise the page scrolls as usual
  }

  #drag(box, click) {
    let from = null;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.view) return;
      from = { x: event.clientX, start: this.start, moved: false };
      box.setPointerCapture(event.pointerId);
    });
    box.addEventListener("pointermove", (event) => {
      if (!from) return;
      const pixels = event.clientX - from.x;
      from.moved ||= Math.abs(pixels) >= DRAG_PIXELS;
      if (from.moved) this.#show(from.start - (pixels / this.score.width) * this.span, this.span);
    });
    box.addEventListener("pointerup", (event) => {
      if (from && !from.moved) click(event.clientX - box.getBoundingClientRect().left);
      from = null;
    });
    box.addEventListener("pointercancel", () => { from = null; });
  }

  #drawWave() {
    if (!this.view) return;
    const context = fitted(this.wave);
    const [width, height] = [this.overview.clientWidth, this.overview.clientHeight];
    const [wave] = Object.values(this.view.waves);
    context.fillStyle = "#c98a5e";
    const bars = Math.min(width, wave.length);
    for (let x = 0; x < bars; x += 1) {
      const from = Math.floor((x * wave.length) / bars);
      const peak = Math.max(...wave.slice(from, Math.ceil(((x + 1) * wave.length) / bars)));
      const tall = Math.max(1, Math.sqrt(peak / 100) * height * 0.9);
      context.fillRect((x * width) / bars, (height - tall) / 2, width / bars, tall);
    }
  }
}
