/**
 * hugewalk/node: what needs Node's file system, or its sockets.
 *
 * @module
 */
export { fileSource } from './dump/file-source.ts';
export { type LiveMachine, type LiveOptions, openLiveMachine } from './dump/live/live-machine.ts';
export { openDumpFile } from './dump/open-dump-file.ts';
export { type StreamSourceOptions, streamSource } from './dump/stream-source.ts';
