// The picture: spectrogram of the voice, sung pitch and notes over it, and what is being played.
//
// What is in view is drawn anew when the view changes only; what moves with the sound is an element
// over it. Numbers in view are found by search, and thinned to what pixels can show.
import { clock, tone } from "./words.js";

const LEFT = 46; // pixels for the names of tones
const BOTTOM = 22; // pixels for the time
const LEAST_SEC = 1; // that may fill the picture
const FIRST_SEC = 30; // that fill it at first
const TURN = 0.85; // of the view: where the playback turns the page
const DRAG_PIXELS = 4; // less is a click
const COLUMN_PIXELS = 0.6; // narrower columns come from the overview
const JUMP_CENTS = 300; // a line joins nothing farther apart
const CURVE = [[55, "#9a6440"], [80, "#d89248"], [101, "#ffc871"]]; // below percent: colour
const STEPS_SEC = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];
const NO_NOTE = { cents: 0, confidence: 0 };

export class Plot {
  /** `parts`: elements box, score, cursor, overview, wave, window, mark. */
  constructor(parts, player) {
    const { box, overview } = Object.assign(this, parts, { player });
    this.view = null;
    this.follow = true;
    this.start = 0; // seconds at the left edge
    this.span = 1; // seconds in view
    this.time = 0;
    this.spoken = -1;
    this.drawing = 0;
    new ResizeObserver(() => {
      this.draw();
      this.#drawWave();
    }).observe(box);
    box.addEventListener("keydown", (event) => this.#key(event));
    box.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#drag(box, (x) => this.player.seek(this.#secondAt(x)));
    const jump = (event) => {
      if (event.buttons !== 1 || !this.view) return;
      const share = event.offsetX / overview.clientWidth;
      this.#show(share * this.view.seconds - this.span / 2, this.span);
    };
    overview.addEventListener("pointerdown", jump);
    overview.addEventListener("pointermove", jump);
  }

  /** Draw another song; `url` gives the address of its pictures. */
  load(view, url) {
    this.view = view;
    this.url = url;
    this.tiles = new Map();
    this.wide = this.#picture("overview.png");
    this.time = 0;
    this.box.setAttribute("aria-valuemax", view.seconds.toFixed(1));
    this.#show(0, Math.min(view.seconds, FIRST_SEC));
    this.moveTo(0, false);
    this.#drawWave();
  }

  fit() {
    if (this.view) this.#show(0, this.view.seconds);
  }

  /** More (above 1) or less detail about the place that is played, or the middle. */
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

  /** The playback is here. */
  moveTo(seconds, playing) {
    if (!this.view) return;
    this.time = seconds;
    if (this.follow && playing) {
      const at = (seconds - this.start) / this.span;
      if (at < 0 || at > TURN) this.#show(seconds - 0.1 * this.span, this.span);
    } else if (this.follow) {
      this.reveal(seconds);
    }
    this.#placeCursor();
    if (playing && Math.abs(seconds - this.spoken) < 5) return; // not to talk into the song
    this.spoken = seconds;
    this.box.setAttribute("aria-valuenow", seconds.toFixed(1));
    const sung = this.sungAt(seconds);
    this.box.setAttribute(
      "aria-valuetext",
      `${clock(seconds, 1)} of ${clock(this.view.seconds, 0)}, ${sung || "nothing sung"}`,
    );
  }

  /** What is sung at a time, in words. */
  sungAt(seconds) {
    const { cents } = this.#frameAt(seconds);
    if (!cents) return "";
    const off = Math.round(cents - 100 * Math.round(cents / 100));
    const hz = Math.round(440 * 2 ** ((cents / 100 - 69) / 12));
    return `${tone(cents / 100)} ${off < 0 ? "−" : "+"}${Math.abs(off)} cents, ${hz} Hz`;
  }

  /** Draw at the next frame of the screen. */
  draw() {
    if (!this.drawing) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        if (this.view) this.#draw();
      });
    }
  }

  // ---- where things are ----

  get #width() { return this.box.clientWidth - LEFT; }
  get #height() { return this.box.clientHeight - BOTTOM; }

  #x(seconds) { return LEFT + ((seconds - this.start) / this.span) * this.#width; }

  #y(midi) {
    const [low, high] = this.view.range;
    return this.#height * (1 - (midi - low) / (high - low));
  }

  #secondAt(x) { return this.start + ((x - LEFT) / this.#width) * this.span; }

  #frameAt(seconds) {
    const { pitch } = this.view ?? {};
    if (!pitch) return NO_NOTE;
    const n = Math.round((seconds - pitch.start) / pitch.hop);
    return { cents: pitch.cents[n] ?? 0, confidence: pitch.confidence[n] ?? 0 };
  }

  #show(start, span) {
    const last = Math.max(this.view.seconds - span, 0);
    this.start = Math.min(Math.max(start, 0), last);
    this.span = span;
    this.draw();
    this.#placeCursor();
  }

  #placeCursor() {
    const x = this.#x(this.time);
    this.cursor.hidden = x < LEFT - 1 || x > LEFT + this.#width + 1;
    this.cursor.style.transform = `translateX(${x}px)`;
    const scale = this.overview.clientWidth / this.view.seconds; // pixels of a second
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
      this.zoom(2 ** (-event.deltaY / 200), this.#secondAt(event.offsetX));
    } else if (event.deltaX || event.shiftKey) {
      event.preventDefault();
      const pixels = event.deltaX || event.deltaY;
      this.#show(this.start + (pixels / this.#width) * this.span, this.span);
    } // else the page scrolls, as everywhere
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
      if (from.moved) this.#show(from.start - (pixels / this.#width) * this.span, this.span);
    });
    box.addEventListener("pointerup", (event) => {
      if (from && !from.moved) click(event.clientX - box.getBoundingClientRect().left);
      from = null;
    });
    box.addEventListener("pointercancel", () => { from = null; });
  }

  // ---- drawing ----

  #picture(name) {
    const image = new Image();
    image.onload = () => this.draw();
    image.src = this.url(name);
    return image;
  }

  #context(canvas) {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  #draw() {
    const context = this.#context(this.score);
    context.font = "12px system-ui, sans-serif";
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, this.#width, this.#height);
    context.clip();
    this.#drawSpectrogram(context);
    this.#drawLines(context);
    this.#drawNotes(context);
    this.#drawCurve(context);
    context.restore();
    this.#drawTones(context);
    this.#drawTimes(context);
  }

  #drawSpectrogram(context) {
    const { picture } = this.view;
    const top = this.#y(picture.high);
    const height = this.#y(picture.low) - top;
    const put = (image, first, columns, columnSec) => {
      if (!image.complete || !image.naturalWidth) return;
      const x = this.#x((first - 0.5) * columnSec);
      const end = this.#x((first + columns - 0.5) * columnSec);
      context.drawImage(image, x, top, end - x + 0.5, height);
    };
    const second = this.#width / this.span; // pixels
    if (second * picture.column_sec < COLUMN_PIXELS) {
      put(this.wide, 0, picture.overview_columns, picture.overview_column_sec);
      return;
    }
    const tileSec = picture.tile_columns * picture.column_sec;
    const last = Math.min(Math.floor((this.start + this.span) / tileSec) + 1, picture.tiles);
    for (let n = Math.floor(this.start / tileSec); n < last; n += 1) {
      if (!this.tiles.has(n)) this.tiles.set(n, this.#picture(`tile-${n}.png`));
      const first = n * picture.tile_columns;
      const columns = Math.min(picture.tile_columns, picture.columns - first);
      put(this.tiles.get(n), first, columns, picture.column_sec);
    }
  }

  #drawLines(context) {
    const [low, high] = this.view.range;
    context.strokeStyle = "rgb(255 255 255 / .09)";
    context.lineWidth = 1;
    context.beginPath();
    for (let k = Math.ceil(low / 12) * 12; k <= high; k += 12) {
      context.moveTo(LEFT, Math.round(this.#y(k)) + 0.5);
      context.lineTo(LEFT + this.#width, Math.round(this.#y(k)) + 0.5);
    }
    context.stroke();
  }

  #drawNotes(context) {
    const end = this.start + this.span;
    const half = Math.abs(this.#y(0.5) - this.#y(0));
    context.lineWidth = 1.2;
    for (const [on, off, midi] of this.view.notes) {
      if (off < this.start || on > end) continue;
      const [x, y] = [this.#x(on), this.#y(midi)];
      const width = Math.max(this.#x(off) - x, 1.5);
      context.fillStyle = "rgb(190 226 214 / .16)";
      context.strokeStyle = "rgb(190 226 214 / .75)";
      context.beginPath();
      context.roundRect(x, y - half, width, 2 * half, Math.min(4, width / 2));
      context.fill();
      if (width > 5) context.stroke();
      if (width > 22) {
        context.fillStyle = "#dff0e8";
        context.strokeStyle = "rgb(14 20 32 / .8)";
        context.lineWidth = 3;
        context.strokeText(tone(midi), x + 2, y - half - 5);
        context.fillText(tone(midi), x + 2, y - half - 5);
        context.lineWidth = 1.2;
      }
    }
  }

  #drawCurve(context) {
    const { pitch } = this.view;
    if (!pitch) return;
    const first = Math.max(Math.floor((this.start - pitch.start) / pitch.hop) - 1, 0);
    const last = Math.min(
      Math.ceil((this.start + this.span - pitch.start) / pitch.hop) + 1, pitch.cents.length - 1,
    );
    const step = Math.max(1, Math.floor((last - first) / (2 * this.#width)));
    context.lineWidth = 2.4;
    context.lineJoin = context.lineCap = "round";
    const sure = (n) => CURVE.findIndex(([below]) => pitch.confidence[n] < below);
    for (let level = 0; level < CURVE.length; level += 1) {
      context.strokeStyle = CURVE[level][1];
      context.beginPath();
      let joined = false; // with the frame before
      for (let n = first; n <= last; n += step) {
        const cents = pitch.cents[n];
        if (!cents || (!joined && sure(n) !== level)) {
          joined = false;
          continue;
        }
        const [x, y] = [this.#x(pitch.start + n * pitch.hop), this.#y(cents / 100)];
        if (joined) {
          context.lineTo(x, y);
        } else {
          context.moveTo(x, y);
          context.lineTo(x + 0.1, y); // one frame alone is a dot
        }
        const next = n + step <= last ? pitch.cents[n + step] : 0;
        joined = sure(n) === level && next > 0 && Math.abs(next - cents) < JUMP_CENTS;
      }
      context.stroke();
    }
  }

  #drawTones(context) {
    const [low, high] = this.view.range;
    const semitone = this.#height / (high - low);
    const named = semitone > 12 ? [0, 2, 4, 5, 7, 9, 11] : semitone > 6 ? [0, 2, 4, 7, 9] : [0, 7];
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let k = Math.ceil(low); k <= high; k += 1) {
      const y = this.#y(k);
      if (!named.includes(((k % 12) + 12) % 12) || y < 7 || y > this.#height - 5) continue;
      context.fillStyle = k % 12 === 0 ? "#ffffff" : "#aebcc0";
      context.fillText(tone(k), LEFT - 8, y);
    }
  }

  #drawTimes(context) {
    const step = STEPS_SEC.find((s) => (s / this.span) * this.#width > 64) ?? 1800;
    context.textAlign = "center";
    context.fillStyle = "#c3cdd0";
    for (let n = Math.ceil(this.start / step); n * step <= this.start + this.span; n += 1) {
      const x = this.#x(n * step);
      context.fillRect(x, this.#height, 1, 4);
      const half = 22; // pixels of the text, which stays inside
      const at = Math.min(Math.max(x, LEFT + half - 10), LEFT + this.#width - half);
      context.fillText(clock(n * step, step < 1 ? 1 : 0), at, this.#height + 13);
    }
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
  }

  #drawWave() {
    if (!this.view) return;
    const context = this.#context(this.wave);
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
