/**
 * The stage of Linux 6.1's recordings: every process has a userfaultfd of its own.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { UFFD_FEATURE_SIGBUS } from '../../linux/base/uffd-uapi.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { Stage } from '../stage.ts';
import type { HugetlbSetting } from './header.ts';

/** What operations act on. */
export class HugetlbStage extends Stage {
  override readonly setting: HugetlbSetting;
  readonly #userfaultfds = new Map<number, UserfaultFile>();

  /** @param tables memory for page tables, which nobody else uses meanwhile */
  constructor(setting: HugetlbSetting, tables: FlatMemory) {
    super(setting, tables);
    this.setting = setting;
  }

  /** The userfaultfd of a process, with the features that recordings have: nothing waits. */
  userfaultfd(number: number): UserfaultFile {
    let file = this.#userfaultfds.get(number);
    if (!file) {
      file = this.process(number).userfaultfd();
      file.api(UFFD_FEATURE_SIGBUS);
      this.#userfaultfds.set(number, file);
    }
    return file;
  }

  /** Ends a process, if it is there. */
  override leave(number: number): string {
    this.#userfaultfds.delete(number);
    return super.leave(number);
  }
}
