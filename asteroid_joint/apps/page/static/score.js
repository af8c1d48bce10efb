// The plot: spectrogram of the voice, notes and sung pitch, with axes of pitch and time.
//
// Only the visible part is drawn, with no more strokes than pixels. `view` is the data of a song
// from the server; times are in seconds, pitches in MIDI semitones.
import { aboveC, clock, fitted, tone } from "./words.js";

const LEFT = 46; // pixels for note names
const BOTTOM = 22; // pixels for times
const COLUMN_PIXELS = 0.6; // narrower columns come from the overview
const JUMP_CENTS = 300; // larger steps are not joined by a line
const CURVE = [[55, "#9a6440"], [80, "#d89248"], [101, "#ffc871"]]; // below percent: colour
const SCALE = [0, 2, 4, 5, 7, 9, 11]; // semitones above C that have a line
const LINE_PIXELS = 4; // where semitones are lower, C alone has one
const PALEST = 0.5; // opacity of unsure notes: an outline of 3 to 1 but on loud harmonics
const NAME_PIXELS = 22; // notes narrower than this are not named
const STEPS_SEC = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

export class Score {
  constructor(canvas) {
    this.canvas = canvas;
    this.view = null;
    this.start = 0; // seconds at the left edge
    this.span = 1; // seconds in view
    this.drawing = 0;
  }

  /** Show another song; `url` maps the name of a picture to its address. */
  load(view, url) {
    this.view = view;
    this.url = url;
    this.tiles = new Map();
    this.wide = this.#picture("overview.png");
  }

  /** Show a range, or the nearest valid one. */
  show(start, span) {
    this.start = Math.min(Math.max(start, 0), Math.max(this.view.seconds - span, 0));
    this.span = span;
    this.draw();
  }

  /** Redraw at the next animation frame. */
  draw() {
    if (!this.drawing) {
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        if (this.view) this.#draw();
      });
    }
  }

  get width() { return this.canvas.clientWidth - LEFT; }
  get height() { return this.canvas.clientHeight - BOTTOM; }

  /** Horizontal position of a time, pixels. */
  x(seconds) { return LEFT + ((seconds - this.start) / this.span) * this.width; }

  /** Vertical position of a pitch, pixels. */
  y(midi) {
    const [low, high] = this.view.range;
    return this.height * (1 - (midi - low) / (high - low));
  }

  /** Height of a semitone, pixels. */
  get semitone() { return this.y(0) - this.y(1); }

  secondAt(x) { return this.start + ((x - LEFT) / this.width) * this.span; }

  #picture(name) {
    const image = new Image();
    image.onload = () => this.draw();
    image.src = this.url(name);
    return image;
  }

  #draw() {
    const context = fitted(this.canvas);
    context.font = "12px system-ui, sans-serif";
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, this.width, this.height);
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
    const top = this.y(picture.high);
    const height = this.y(picture.low) - top;
    const put = (image, first, columns, columnSec) => {
      if (!image.complete || !image.naturalWidth) return;
      const x = this.x((first - 0.5) * columnSec);
      const end = this.x((first + columns - 0.5) * columnSec);
      context.drawImage(image, x, top, end - x + 0.5, height);
    };
    const second = this.width / this.span; // pixels
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

  /** Lines of the scale, on which notes lie as in a staff; those of C are stronger. */
  #drawLines(context) {
    const [low, high] = this.view.range;
    const lined = this.semitone < LINE_PIXELS ? [0] : SCALE;
    for (let k = Math.ceil(low); k <= high; k += 1) {
      if (!lined.includes(aboveC(k))) continue;
      context.fillStyle = `rgb(255 255 255 / ${aboveC(k) ? 0.08 : 0.26})`;
      context.fillRect(LEFT, Math.round(this.y(k)), this.width, 1);
    }
  }

  #drawNotes(context) {
    const end = this.start + this.span;
    const half = this.semitone / 2;
    context.lineWidth = 1.2;
    for (const [on, off, midi, confidence = 1] of this.view.notes) {
      if (off < this.start || on > end) continue;
      const [x, y] = [this.x(on), this.y(midi)];
      const width = Math.max(this.x(off) - x, 1.5);
      context.globalAlpha = Math.min(Math.max(confidence, PALEST), 1);
      context.fillStyle = "rgb(14 20 32 / .6)"; // keeps the curve visible on loud harmonics
      context.strokeStyle = "#cdece2";
      context.beginPath();
      context.roundRect(x, y - half, width, 2 * half, Math.min(4, width / 2));
      context.fill();
      if (width > 5) context.stroke();
      context.globalAlpha = 1; // names are as readable as ever
      const left = Math.max(x, LEFT); // of what is in view
      if (x + width - left > NAME_PIXELS) {
        context.fillStyle = "#dff0e8";
        context.strokeStyle = "rgb(14 20 32 / .8)";
        context.lineWidth = 3;
        context.strokeText(tone(midi), left + 2, y - half - 5);
        context.fillText(tone(midi), left + 2, y - half - 5);
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
    const step = Math.max(1, Math.floor((last - first) / (2 * this.width)));
    context.lineWidth = 3;
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
        const [x, y] = [this.x(pitch.start + n * pitch.hop), this.y(cents / 100)];
        if (joined) {
          context.lineTo(x, y);
        } else {
          context.moveTo(x, y);
          context.lineTo(x + 0.1, y); // a single frame is a dot
        }
        const next = n + step <= last ? pitch.cents[n + step] : 0;
        joined = sure(n) === level && next > 0 && Math.abs(next - cents) < JUMP_CENTS;
      }
      context.stroke();
    }
  }

  #drawTones(context) {
    const [low, high] = this.view.range;
    const named = this.semitone > 12 ? SCALE : this.semitone > 6 ? [0, 2, 4, 7, 9] : [0, 7];
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let k = Math.ceil(low); k <= high; k += 1) {
      const y = this.y(k);
      if (!named.includes(aboveC(k)) || y < 7 || y > this.height - 5) continue;
      context.fillStyle = k % 12 === 0 ? "#ffffff" : "#aebcc0";
      context.fillText(tone(k), LEFT - 8, y);
    }
  }

  #drawTimes(context) {
    const step = STEPS_SEC.find((s) => (s / this.span) * this.width > 64) ?? 1800;
    context.textAlign = "center";
    context.fillStyle = "#c3cdd0";
    for (let n = Math.ceil(this.start / step); n * step <= this.start + this.span; n += 1) {
      const x = this.x(n * step);
      context.fillRect(x, this.height, 1, 4);
      const half = 22; // half of the text width, which stays inside
      const at = Math.min(Math.max(x, LEFT + half - 10), LEFT + this.width - half);
      context.fillText(clock(n * step, step < 1 ? 1 : 0), at, this.height + 13);
    }
    context.textAlign = "left";
    context.textBaseline = "alphabetic";
  }
}
