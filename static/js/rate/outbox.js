// What a rater has entered, kept in this browser until the server has it.
//
// One entry a question, under the address that its answer goes to, which holds the question's public id. An entry has
// the rater's own answer and nothing of what was shown: {fields, waiting, seen, at}. `fields` is the form as it is sent,
// its revision among them, so that sending twice stores once; `waiting` says that the rater has submitted it; `seen` is the
// time in view so far, in milliseconds; `at` is when it was written, in milliseconds of the clock.

const PREFIX = "dartboard:";
const OLDEST = 30 * 24 * 3600 * 1000; // milliseconds; what is older is thrown away

/** The browser's store, or null where it has none to give: then answers live on the screen alone. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

export function remember(action, entry) {
  try {
    storage()?.setItem(PREFIX + action, JSON.stringify({ ...entry, at: Date.now() }));
    return storage() !== null;
  } catch {
    return false; // full, or forbidden
  }
}

export function recall(action) {
  try {
    return JSON.parse(storage()?.getItem(PREFIX + action) ?? "null");
  } catch {
    return null;
  }
}

export function forget(action) {
  storage()?.removeItem(PREFIX + action);
}

/** The addresses of all entries, oldest first; what is too old, or is none, is thrown away. */
export function kept() {
  const found = Object.keys(storage() ?? {}).filter((key) => key.startsWith(PREFIX)).map((key) => key.slice(PREFIX.length));
  const entries = found.map((action) => ({ action, ...recall(action) }));
  for (const { action, at } of entries) if (!(Date.now() - at < OLDEST)) forget(action);
  return entries.filter(({ at }) => Date.now() - at < OLDEST).sort((one, two) => one.at - two.at);
}

/** A setting of this browser, such as whether keys are on. */
export function setting(name, value) {
  if (value === undefined) return storage()?.getItem(name) ?? null;
  try {
    storage()?.setItem(name, value);
  } catch {
    // not remembered, then
  }
  return value;
}
