// Plays all stems together: one audio element each, the first of which is the clock.

const DRIFT_SEC = 0.03; // audible as an echo
const CHECK_MS = 500;

export class Player {
  constructor() {
    this.stems = [];
    this.seconds = 0;
    this.playing = false;
    this.onchange = this.ontime = this.onerror = () => {};
    setInterval(() => this.#align(), CHECK_MS);
  }

  /** Load stems. */
  load(names, url, seconds) {
    this.stop();
    this.seconds = seconds;
    this.stems = names.map((name) => {
      const audio = new Audio(url(name));
      audio.preload = "auto";
      audio.addEventListener("error", () => audio.hasAttribute("src") && this.onerror());
      return { name, audio, muted: false, solo: false, volume: 1, changed: () => {} };
    });
    const [{ audio }] = this.stems;
    audio.addEventListener("ended", () => this.pause());
    audio.addEventListener("seeked", () => this.#tell());
    this.#tell();
  }

  get time() {
    return this.stems.length ? this.stems[0].audio.currentTime : 0;
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  async play() {
    if (!this.stems.length || this.playing) return;
    if (this.time >= this.seconds - 0.05) this.seek(0);
    this.playing = true;
    this.onchange();
    try {
      await Promise.all(this.stems.map((stem) => stem.audio.play()));
    } catch (error) {
      if (error.name !== "AbortError") this.onerror();
      this.pause();
      return;
    }
    this.#align();
    const frame = () => {
      if (!this.playing) return;
      this.#tell();
      requestAnimationFrame(frame);
    };
    frame();
  }

  pause() {
    this.playing = false;
    for (const stem of this.stems) stem.audio.pause();
    this.onchange();
    this.#tell();
  }

  /** Stop and unload the song. */
  stop() {
    if (this.playing) this.pause();
    const stems = this.stems;
    this.stems = [];
    for (const { audio } of stems) {
      audio.removeAttribute("src"); // stops loading
      audio.load();
    }
  }

  seek(seconds) {
    const to = Math.min(Math.max(seconds, 0), this.seconds);
    for (const stem of this.stems) stem.audio.currentTime = to;
    this.ontime(to);
  }

  /** Change a stem: muted, solo, volume. */
  set(name, change) {
    Object.assign(this.stems.find((stem) => stem.name === name), change);
    const alone = this.stems.some((stem) => stem.solo);
    for (const stem of this.stems) {
      stem.audio.muted = stem.muted || (alone && !stem.solo);
      stem.audio.volume = stem.volume;
      stem.changed();
    }
  }

  #tell() {
    if (this.stems.length) this.ontime(this.time);
  }

  #align() {
    if (!this.playing) return;
    for (const { audio } of this.stems.slice(1)) {
      if (Math.abs(audio.currentTime - this.time) > DRIFT_SEC) audio.currentTime = this.time;
      if (audio.paused && !audio.ended) audio.play().catch(() => {});
    }
  }
}
