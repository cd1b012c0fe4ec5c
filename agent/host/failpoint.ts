/**
 * Places at which a test build may end the process or let a system call fail: before and after every step that makes
 * something durable or changes the kernel. Every call carries the mark of a pure one, so the compiled program holds
 * neither the calls nor the names; tests/faults puts its own module here.
 */

/** `step` is what happens next, or in the past tense what has just happened; `target` is the file or the act. */
export function failpoint(_step: string, _target: string): void {}
