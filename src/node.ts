/**
 * hugewalk/node: what needs Node's file system.
 *
 * @module
 */
export { fileSource } from './dump/file-source.ts';
export { openDumpFile } from './dump/open-dump-file.ts';
