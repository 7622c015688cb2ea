/**
 * Messages of userfaultfds.
 */
import type { Path } from '../../linux/base/task.ts';
import {
  UFFD_EVENT_FORK,
  UFFD_EVENT_PAGEFAULT,
  UFFD_EVENT_REMAP,
  UFFD_EVENT_REMOVE,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
} from '../../linux/base/uffd-uapi.ts';
import type { UffdMessage } from '../../linux/machine/userfault-file.ts';
import { actor, type Field, integer, list, optional, text } from '../line/fields.ts';
import { placeOf } from '../line/setting.ts';
import { calling, type Operation } from '../sequence/operation.ts';
import type { Answer, Found } from '../stage/answer.ts';
import type { Stage } from '../stage/stage.ts';
import { callerOf } from './common.ts';

/** Which message: where, what for. */
const MESSAGE = {
  event: optional(text(/^(pagefault|fork|remap|remove|unmap)$/, 'pagefault, fork, remap, remove or unmap')),
  where: optional(list(integer(0, 2 ** 40), 2, 'a slot and a page')),
  flags: optional(text(/^(write|wp|minor|\|)*$/, 'some of write, wp, minor, with | between them')),
};

/** Reads one. @param uffd which userfaultfd */
export function uffdRead(uffd: Field<number | undefined>): Operation {
  return calling(
    { proc: actor, uffd, ...MESSAGE },
    {
      found: ['event', 'where', 'flags'],
      *calls(stage, { proc, uffd }, thread): Path<Answer> {
        const file = stage.userfaultfd(uffd, proc);
        if (!file) return { result: 'EBADF' };
        return answerOf(stage, yield* callerOf(stage, thread, proc).uffdRead(file));
      },
    },
  );
}

/** A message in words. A fork's brings a userfaultfd. */
function answerOf(stage: Stage, message: UffdMessage | string): Answer {
  if (typeof message === 'string') return { result: message };
  const where = (address: number): Found => {
    const { slot, page } = placeOf(stage.setting, address);
    return [slot, page];
  };
  switch (message.event) {
    case UFFD_EVENT_PAGEFAULT: {
      const flags = PAGEFAULT_FLAGS.filter(([bit]) => message.flags & bit).map(([, name]) => name);
      return { result: 'OK', found: { event: 'pagefault', where: where(message.address), flags: flags.join('|') } };
    }
    case UFFD_EVENT_FORK:
      stage.deliverUserfaultfd(message.ufd);
      return { result: 'OK', found: { event: 'fork' } };
    case UFFD_EVENT_REMAP:
      return { result: 'OK', found: { event: 'remap', where: where(message.from) } };
    default: {
      const event = message.event === UFFD_EVENT_REMOVE ? 'remove' : 'unmap';
      return { result: 'OK', found: { event, where: where(message.start) } };
    }
  }
}

const PAGEFAULT_FLAGS = [
  [UFFD_PAGEFAULT_FLAG_WRITE, 'write'],
  [UFFD_PAGEFAULT_FLAG_WP, 'wp'],
  [UFFD_PAGEFAULT_FLAG_MINOR, 'minor'],
] as const;
