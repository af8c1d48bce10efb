// Helpers shared by all parts.

/** Format seconds as minutes and seconds with some decimal digits. */
export function clock(seconds, digits) {
  const scale = 10 ** digits;
  const whole = Math.round(seconds * scale);
  const minutes = Math.floor(whole / (60 * scale));
  const rest = ((whole - minutes * 60 * scale) / scale).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** Format a number of bytes. */
export function size(bytes) {
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${Math.max(1, Math.round(bytes / 1e3))} kB`;
}

/** Create an element with properties; text is never parsed as markup. */
export function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

const TONES = "C C♯ D D♯ E F F♯ G G♯ A A♯ B".split(" ");

/** Semitones of a whole MIDI pitch above the C below it. */
export function aboveC(pitch) {
  return ((pitch % 12) + 12) % 12;
}

/** Name of the note nearest to a MIDI pitch. */
export function tone(midi) {
  const nearest = Math.round(midi);
  return TONES[aboveC(nearest)] + (Math.floor(nearest / 12) - 1);
}

/** Clear a canvas, match its size to the screen and return its context. */
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
