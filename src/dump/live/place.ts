/**
 * Where a machine that runs listens: `qemu:/run/vm/gdb`, `qemu:localhost:1234`, `gdb:[::1]:1234`.
 */

/** A Unix socket, or a port of a host. */
export type LivePlace = { readonly path: string } | { readonly host: string; readonly port: number };

/** Whether a text names a machine that runs, and no file. */
export function isLive(text: string): boolean {
  return /^(qemu|gdb):/.test(text);
}

/** @throws RangeError for what names none */
export function placeOf(text: string): LivePlace {
  const [, where = ''] = /^(?:qemu|gdb):(.*)$/s.exec(text) ?? [];
  const [, host, digits] = /^(?:([^/]*):)?(\d{1,5})$/s.exec(where) ?? [];
  const port = Number(digits);
  if (digits !== undefined && port >= 1 && port <= 0xffff) {
    return { host: host?.replace(/^\[(.*)\]$/, '$1') || 'localhost', port };
  }
  if (digits === undefined && where !== '' && !where.includes('\0')) return { path: where };
  throw new RangeError(
    `place: expected qemu:SOCKET, qemu:HOST:PORT or gdb:HOST:PORT with a port from 1 to 65535, got ${JSON.stringify(text)}`,
  );
}
