// Small things that all parts need.

/** Seconds as minutes, seconds and so many digits of a second. */
export function clock(seconds, digits) {
  const scale = 10 ** digits;
  const whole = Math.round(seconds * scale);
  const minutes = Math.floor(whole / (60 * scale));
  const rest = ((whole - minutes * 60 * scale) / scale).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** Bytes as one may read them. */
export function size(bytes) {
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/** An element with properties; text is never markup. */
export function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

const TONES = "C C♯ D D♯ E F F♯ G G♯ A A♯ B".split(" ");

/** Nearest tone of a MIDI pitch. */
export function tone(midi) {
  const nearest = Math.round(midi);
  return TONES[((nearest % 12) + 12) % 12] + (Math.floor(nearest / 12) - 1);
}

/** The empty context of a canvas that has as many pixels as the screen shows of it. */
export function fitted(canvas) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
