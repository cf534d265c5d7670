// The questions of a screen: the one that keys answer is marked, and an answer leads to the next.

export const questions = () => [...document.querySelectorAll("#answer .question")];

let active = null;
const settled = new WeakSet(); // answered in this visit: what undo has brought back is gone through again in order

export const activeQuestion = () => active;

export function activate(question) {
  active = question ?? null;
  for (const each of questions()) each.toggleAttribute("data-active", each === active);
}

export function settle(question) {
  settled.add(question);
}

const field = (question) => question.querySelector("textarea, input:checked") ?? question.querySelector("input");

/** Go to the next question that is not answered yet, else to the button that submits. */
export function advance() {
  const all = questions();
  const after = all.slice(all.indexOf(active) + 1);
  const next = after.find((each) => !settled.has(each)) ?? all.find((each) => !settled.has(each));
  activate(next);
  if (next) field(next).focus();
  else document.querySelector("#answer .submit").focus();
}

/** Answer a question with the option of that key; false where it has none. */
export function choose(question, key) {
  const option = question?.querySelector(`input[data-answer="${key}"]`);
  if (!option) return false;
  activate(question);
  option.checked = true;
  option.dispatchEvent(new Event("change", { bubbles: true }));
  advance();
  return true;
}

/** The words that a screen asks for first: put the cursor there. False where it asks for none. */
export function write() {
  const text = document.querySelector("#answer textarea");
  text?.focus();
  return text !== null;
}

/** Leave the text field for the next question, once there is something in it. */
export function leave(text) {
  if (text.value.trim() === "") return;
  settle(text.closest(".question"));
  advance();
}

export function startQuestions() {
  activate(questions()[0]);
}

document.addEventListener("change", (event) => {
  const question = event.target.closest("#answer .question");
  if (question) settle(question);
});

document.addEventListener("focusin", (event) => {
  const question = event.target.closest("#answer .question");
  if (question) activate(question);
});
