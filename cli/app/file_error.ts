/** The system's reasons to refuse a file, in words. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EEXIST: "it exists",
  EISDIR: "it is a directory, not a file",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "there is no such file or directory",
  ENOSPC: "no space left on device",
  ENOTDIR: "a part of the path is not a directory",
  EPERM: "operation not permitted",
  EROFS: "the file system is read-only",
};

/**
 * The reason in an error of `node:fs`, whose message has the error code, the system call and the path, too.
 *
 * @returns undefined for other errors, and for rare reasons
 */
export function fileReason(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = "" } = error as NodeJS.ErrnoException;
  return error.message.startsWith(`${code}: `) ? REASONS[code] : undefined;
}
