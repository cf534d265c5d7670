"""The texts that raters read, Markdown, as a study file gives them or as they are by default.

None may say what an arm is: the last of them is read by some raters while others still rate.
"""

from pydantic import Field

from app.study.section import Section

INSTRUCTIONS = """\
You will see **pages**. Each page belongs to one detector, a part of a computer's model of English, and shows pieces of
text in which it responded. The more strongly a word is coloured, the stronger the response; the strongest word of each
piece is underlined. A page has three groups: where the detector responded most strongly, in the middle of its range,
and weakly.

**On a single page**, ask: what do the marked words, or the places where they stand, have in common? Then rate it from 1
(no pattern that I could name) to 5 (one clear pattern, and every piece fits it). Give most weight to patterns that
hold in all three groups.

**On two pages side by side**, rate each of them in the same way, then say which one is the more coherent: left, right,
a tie, or neither where no page has a pattern.

**On five pieces**, four are places where one and the same detector responded, and one is not. Say which one does not
belong with the others.

On pages there is no right answer to find out, and some have no pattern at all. Your first impression after reading is
what counts: about a minute a page is plenty. You can take your last answer back, and you can stop at any time and go on
later by the same link.
"""

CONSENT = """\
You are asked to look at pieces of text and to say how clear a pattern you see in them. It is part of a study of how
language models work. **Taking part is voluntary**: you can stop at any time, and you can withdraw, which erases your
answers.

What is kept: your answers, when you gave them and how long you took. They are stored under a made-up name, and may be
published under it. Texts come from public sources, unread by us; if one upsets you, skip it.
"""

PRACTICE = """\
First some questions for practice. Their answers are known, and you will be told whether you found them. Nothing of
this is counted.
"""

DEBRIEF = """\
Thank you. You have rated pages of several kinds of detectors without knowing which was which; that is what makes the
answers worth having. Some pages came twice, and on a few the right answer was known to us. When the study is over, you
may be asked to guess which kinds there were.
"""


class Texts(Section):
    """Markdown that raters read. A text that names an arm or a dictionary is refused."""

    instructions: str = Field(
        default=INSTRUCTIONS, min_length=1, description="Shown before the first question, and at hand on every one."
    )
    consent: str = Field(default=CONSENT, min_length=1, description="What a rater agrees to before anything else.")
    practice: str = Field(default=PRACTICE, min_length=1, description="Introduces the practice questions.")
    debrief: str = Field(default=DEBRIEF, min_length=1, description="Shown when nothing is left to do.")
