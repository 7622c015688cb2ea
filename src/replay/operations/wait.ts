/**
 * `wait`: how the operation of a thread has ended that was BLOCKED.
 */
import { actor, type Field, type Fields, optional, Refusal, threadNumber } from '../line/fields.ts';
import { type Operation, operation } from '../sequence/operation.ts';
import { type Answer, impossible } from '../stage/answer.ts';

/** What is found: of whatever kind the operation that waits finds. */
const anything: Field<unknown> = optional((value) =>
  ['number', 'string', 'boolean'].includes(typeof value) || Array.isArray(value)
    ? value
    : new Refusal('what the operation found'),
);

/** What the operations of threads find, all of them. */
export function waiting(operations: Iterable<Operation>): Operation {
  const found = [
    ...new Set([...operations].flatMap((operation) => (operation.fields.thread ? (operation.found ?? []) : []))),
  ];
  const fields: Fields = Object.fromEntries(found.map((name) => [name, anything]));
  return operation(
    { ...fields, proc: actor, thread: threadNumber },
    {
      waits: true,
      found,
      run(stage, { proc, thread }): Answer {
        const process = stage.process(proc as number);
        const number = thread as number;
        if (!stage.threads.isBusy(process, number)) return impossible(`thread ${number} waits for nothing`);
        return stage.threads.ended(process, number) ?? { result: 'BLOCKED' };
      },
    },
  );
}
