/** Weight of the newest upload: a service that has become slow is believed soon. */
const NEWEST = 0.5;
/** Smaller images say more about connections than about speed. */
const SMALLEST_BYTES = 16 * 1024 ** 2;

/** How fast the image service took images lately. An estimate of this process: lost with it, and soon found again. */
export class UploadSpeed {
  #bytesPerS: number | null = null;

  /** Null: no image of a telling size was uploaded yet. */
  get bytesPerS(): number | null {
    return this.#bytesPerS;
  }

  note(sizeBytes: number, durationMs: number): void {
    if (sizeBytes < SMALLEST_BYTES || durationMs <= 0) return;
    const bytesPerS = (sizeBytes / durationMs) * 1_000;
    this.#bytesPerS = this.#bytesPerS === null ? bytesPerS : NEWEST * bytesPerS + (1 - NEWEST) * this.#bytesPerS;
  }
}
