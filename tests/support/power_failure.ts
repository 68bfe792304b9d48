/** A disk that forgets what was not synced. */
import fs from "node:fs";
import { copyFiles } from "./journal_model.ts";

/** A place in a file. */
export interface FilePlace {
  readonly ino: number;
  readonly offset: number;
}

/** The duration of a sync, in milliseconds. */
const SYNC = 2;

/**
 * Replaces the syncs of files, until it is disposed, by notes of what would be on disk. `copy` makes the files as a
 * power failure can leave them: of a log only the synced bytes, but every acknowledgement, and no deleted file.
 */
export class PowerFailure {
  /** The synced length of each file, by inode. */
  readonly #synced = new Map<number, number>();
  /** The syncs that do not end before `release`. */
  #held: (() => void)[] | undefined;
  readonly #real = {
    openSync: fs.openSync,
    fdatasync: fs.fdatasync,
    fdatasyncSync: fs.fdatasyncSync,
    fsyncSync: fs.fsyncSync,
  };

  constructor() {
    const { openSync } = this.#real;
    const syncNow = (fd: number) => this.#noteLater(fd)();
    Object.assign(fs, {
      openSync: (file: string, flags: string, mode?: number) => {
        const fd = openSync(file, flags, mode);
        // A new file can have the inode of a deleted one.
        if (flags === "ax") this.#synced.delete(fs.fstatSync(fd).ino);
        return fd;
      },
      fdatasync: (fd: number, done: fs.NoParamCallback) => {
        const note = this.#noteLater(fd);
        const end = () => {
          note();
          done(null);
        };
        if (this.#held === undefined) setTimeout(end, SYNC);
        else this.#held.push(end);
      },
      fdatasyncSync: syncNow,
      fsyncSync: syncNow,
    });
  }

  [Symbol.dispose](): void {
    Object.assign(fs, this.#real);
  }

  /** Lets no sync end until `release`. */
  hold(): void {
    this.#held = [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const end of held) end();
  }

  /** Copies the files of a data directory as a power failure can leave them. */
  copy(from: string, to: string): void {
    fs.mkdirSync(to);
    for (const name of fs.readdirSync(from)) {
      // An index is written after its log, and another thread is deleting the deleted files.
      if (/^lock|\.idx$|\.deleted-/.test(name)) continue;
      const bytes = fs.readFileSync(`${from}/${name}`);
      const { ino } = fs.statSync(`${from}/${name}`);
      const length = name.endsWith(".log") ? this.#synced.get(ino) ?? 0 : bytes.length;
      if (length > 0) fs.writeFileSync(`${to}/${name}`, bytes.subarray(0, length));
    }
  }

  /** Copies the files of a data directory as after `kill -9`: what was not synced is still not synced. */
  copyKilled(from: string, to: string): void {
    copyFiles(from, to);
    for (const name of fs.readdirSync(to)) {
      const original = fs.statSync(`${from}/${name}`, { throwIfNoEntry: false });
      const length = original && this.#synced.get(original.ino);
      const { ino } = fs.statSync(`${to}/${name}`);
      if (length === undefined) this.#synced.delete(ino);
      else this.#synced.set(ino, length);
    }
  }

  /** Whether what was written at a place is synced. */
  isSynced({ ino, offset }: FilePlace): boolean {
    return (this.#synced.get(ino) ?? 0) > offset;
  }

  #noteLater(fd: number): () => void {
    const { ino, size } = fs.fstatSync(fd);
    return () => void this.#synced.set(ino, Math.max(size, this.#synced.get(ino) ?? 0));
  }
}
