/**
 * The stage of Linux 6.1's recordings: every process has a userfaultfd of its own, besides those that are opened.
 */
import type { FlatMemory } from '../../core/flat-memory.ts';
import { keepMap } from '../../linux/base/checkpoint.ts';
import { UFFD_FEATURE_SIGBUS } from '../../linux/base/uffd-uapi.ts';
import type { UserfaultFile } from '../../linux/machine/userfault-file.ts';
import { Stage } from '../stage/stage.ts';
import type { HugetlbSetting } from './header.ts';

/** What operations act on. */
export class HugetlbStage extends Stage {
  override readonly setting: HugetlbSetting;
  readonly #own = new Map<number, UserfaultFile>();

  /** @param tables memory for page tables, which nobody else uses meanwhile */
  constructor(setting: HugetlbSetting, tables: FlatMemory) {
    super(setting, tables);
    this.setting = setting;
  }

  /** Without a number, that of the process, with the features that recordings have: nothing waits. */
  override userfaultfd(number: number | undefined, proc: number): UserfaultFile | undefined {
    if (number !== undefined) return super.userfaultfd(number, proc);
    let file = this.#own.get(proc);
    if (!file) {
      file = this.process(proc).userfaultfd();
      file.api(UFFD_FEATURE_SIGBUS);
      this.#own.set(proc, file);
    }
    return file;
  }

  override checkpoint(): () => void {
    const putBackOthers = super.checkpoint();
    const own = keepMap(this.#own);
    return () => {
      putBackOthers();
      own();
    };
  }

  protected override forget(number: number): void {
    this.#own.delete(number);
    super.forget(number);
  }
}
