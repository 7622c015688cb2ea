/**
 * The stage of HGM's recordings: userfaultfds have numbers, and a controller without mappings of its own does what no process does.
 */
import { interleave, type Path, sleepUntil } from '../../linux/base/task.ts';
import { UFFD_EVENT_FORK, UFFD_FEATURE_EVENT_FORK } from '../../linux/base/uffd-uapi.ts';
import type { Process } from '../../linux/machine/process.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { ended, Stage } from '../stage/stage.ts';

/** What operations act on. */
export class HgmStage extends Stage {
  #controller: Process | undefined;

  /** The process that fills files, and reads and writes others' memory. It keeps no mapping. */
  get controller(): Process {
    this.#controller ??= this.outsider();
    return this.#controller;
  }

  override stranger(): Process {
    return this.controller;
  }

  /** Lets a new process do something, which no scenario sees, and ends it. */
  withProcess<T>(act: (process: Process) => T): T {
    const process = this.outsider();
    try {
      return act(process);
    } finally {
      if (process.alive) ended(process);
    }
  }

  /** A thread of the parent reads the event that a fork waits for, where one is asked for. */
  protected override copy(parent: Process): Process | string {
    const told = [...this.userfaultfds.values()].filter(
      ({ context }) => context.mm === parent.mm && context.has(UFFD_FEATURE_EVENT_FORK),
    );
    if (told.length === 0) return super.copy(parent);
    let done = false;
    const caller = parent.thread();
    function* forks(): Path<Process | string> {
      const forked = yield* caller.fork();
      done = true;
      return forked;
    }
    const reader = parent.thread();
    const deliver = (file: UserfaultFile): void => this.deliverUserfaultfd(file);
    function* reads(): Path<string> {
      while (!done) {
        yield* sleepUntil(
          reader.task,
          'the event of a fork',
          reader.task,
          () => done || told.some(({ pending }) => pending),
        );
        for (const file of told) {
          if (!file.pending) continue;
          const message = yield* reader.uffdRead(file);
          if (typeof message !== 'string' && message.event === UFFD_EVENT_FORK) deliver(message.ufd);
        }
      }
      return 'OK';
    }
    const works = [
      { task: caller.task, path: forks() },
      { task: reader.task, path: reads() },
    ];
    const [forked] = interleave<Process | string>(works, () => 0);
    this.machine.check();
    return forked!;
  }

  override checkpoint(): () => void {
    const putBackOthers = super.checkpoint();
    const controller = this.#controller;
    return () => {
      putBackOthers();
      this.#controller = controller;
    };
  }

  override clear(): string {
    if (this.#controller) ended(this.#controller);
    this.#controller = undefined;
    return super.clear();
  }
}
