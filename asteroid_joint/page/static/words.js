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
