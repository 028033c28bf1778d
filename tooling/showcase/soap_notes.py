"""Synthetic visits at a doctor's: a dialogue and the SOAP note that follows from it, as JSON.

Deterministic. Every value of a note stands word for word in its dialogue, and no dialogue appears twice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

SPLITS: Mapping[str, int] = {"train": 600, "validation": 50, "test": 100}
SEED = 20261
"""Changing it, or any list below, makes other rows: results before and after no longer compare."""


@dataclass(frozen=True)
class Visit:
    """One row of the table: `id` is its key, `note` is JSON text."""

    id: str
    split: str
    dialogue: str
    note: str


_COMPLAINTS: Mapping[str, tuple[str, ...]] = {
    "headache": ("tension headache", "migraine", "sinusitis"),
    "sore throat": ("viral pharyngitis", "strep throat", "tonsillitis"),
    "dry cough": ("acute bronchitis", "asthma", "a viral infection"),
    "back pain": ("lumbar strain", "sciatica"),
    "neck pain": ("muscle strain", "cervical arthritis"),
    "heartburn": ("acid reflux", "gastritis"),
    "stomach cramps": ("gastroenteritis", "irritable bowel syndrome"),
    "itchy rash": ("contact dermatitis", "hives", "eczema"),
    "ear pain": ("otitis media", "otitis externa"),
    "runny nose": ("allergic rhinitis", "a common cold"),
    "knee pain": ("osteoarthritis", "a knee sprain", "bursitis"),
    "shoulder pain": ("rotator cuff strain", "frozen shoulder"),
    "dizziness": ("benign vertigo", "dehydration", "low blood pressure"),
    "poor sleep": ("insomnia", "anxiety"),
    "burning urination": ("a bladder infection", "urethritis"),
    "red eyes": ("conjunctivitis", "dry eye"),
    "tiredness": ("iron deficiency", "an underactive thyroid"),
    "wrist pain": ("carpal tunnel syndrome", "a wrist sprain"),
}
_DRUGS: Mapping[str, tuple[str, ...]] = {
    "ibuprofen": ("400 mg", "600 mg"),
    "paracetamol": ("500 mg", "1 g"),
    "naproxen": ("250 mg", "500 mg"),
    "amoxicillin": ("250 mg", "500 mg"),
    "azithromycin": ("250 mg", "500 mg"),
    "omeprazole": ("20 mg", "40 mg"),
    "loratadine": ("10 mg",),
    "cetirizine": ("5 mg", "10 mg"),
    "sumatriptan": ("50 mg", "100 mg"),
    "gabapentin": ("100 mg", "300 mg"),
    "hydroxyzine": ("25 mg", "50 mg"),
    "melatonin": ("3 mg", "5 mg"),
    "prednisone": ("10 mg", "20 mg"),
    "nitrofurantoin": ("100 mg",),
    "levothyroxine": ("50 mcg", "75 mcg"),
    "meclizine": ("12.5 mg", "25 mg"),
}
_SEVERITIES = ("mild", "moderate", "severe")
_UNITS = ("days", "weeks", "months")
_FOLLOW_UPS = ("3 days", "5 days", "1 week", "10 days", "2 weeks", "3 weeks", "1 month", "6 weeks")

_GREETINGS = (
    "Good morning, what brings you in?",
    "Hello, how can I help you today?",
    "Hi, what seems to be the problem?",
    "Please sit down. What is going on?",
    "Good to see you. What can I do for you?",
)
_OPENINGS = (
    "I have had {severity} {complaint} for {duration}.",
    "For {duration} now I have been having {severity} {complaint}.",
    "It is this {complaint}. It started {duration} ago and it is {severity}.",
    "My problem is {complaint}. I would call it {severity}, and it has lasted {duration}.",
    "Well, {complaint}, {severity} I would say, going on for {duration}.",
)
_ASIDES = (
    "",
    "",
    "Patient: My sister had something like it last year.",
    "Patient: I work nights, so I rest badly.",
    "Doctor: Any allergies?\nPatient: None that I know of.",
    "Patient: I tried some tea with honey.",
    "Doctor: Do you smoke?\nPatient: No, I stopped.",
    "Patient: My husband told me to come.",
    "Doctor: Have you had this before?\nPatient: Once, as a child.",
    "Patient: I am worried about missing work.",
)
_EXAMINATIONS = (
    "Your temperature is {temperature}, blood pressure {blood_pressure}, pulse {pulse}.",
    "Blood pressure is {blood_pressure}, pulse {pulse}, and temperature {temperature}.",
    "I measure a pulse of {pulse}, {temperature} degrees, and a blood pressure of {blood_pressure}.",
    "Let me see: pulse {pulse}, pressure {blood_pressure}, temperature {temperature}.",
)
_ASSESSMENTS = (
    "This looks like {assessment}.",
    "I think you have {assessment}.",
    "The examination fits {assessment}.",
    "That would be {assessment}.",
)
_PLANS = (
    "Take {drug} {dose} and come back in {follow_up}.",
    "I will prescribe {drug}, {dose}. Let us meet again in {follow_up}.",
    "Start {drug} {dose}; we follow up in {follow_up}.",
    "I would like to see you in {follow_up}. Until then take {dose} of {drug}.",
)


def visits(splits: Mapping[str, int] = SPLITS, seed: int = SEED) -> list[Visit]:
    """All rows; the first split gets the first dialogues, so that adding to the last one changes no other."""
    source = _distinct(random.Random(seed))
    return [
        Visit(f"{split}-{number:04d}", split, dialogue, note)
        for split, count in splits.items()
        for number, (dialogue, note) in enumerate(islice(source, count), start=1)
    ]


def _distinct(chance: random.Random) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    while True:
        facts = _facts(chance)
        dialogue = _dialogue(facts, chance)
        if dialogue not in seen:
            seen.add(dialogue)
            yield dialogue, json.dumps(_note(facts), separators=(",", ":"))


def _facts(chance: random.Random) -> dict[str, str]:
    """The drug is drawn apart from the diagnosis: a model that guesses it from the diagnosis is wrong."""
    complaint = chance.choice(list(_COMPLAINTS))
    drug = chance.choice(list(_DRUGS))
    return {
        "complaint": complaint,
        "severity": chance.choice(_SEVERITIES),
        "duration": f"{chance.randint(2, 9)} {chance.choice(_UNITS)}",
        "temperature": f"{chance.randint(36, 39)}.{chance.randint(0, 9)}",
        "blood_pressure": f"{chance.randint(98, 168)}/{chance.randint(58, 99)}",
        "pulse": str(chance.randint(52, 118)),
        "assessment": chance.choice(_COMPLAINTS[complaint]),
        "drug": drug,
        "dose": chance.choice(_DRUGS[drug]),
        "follow_up": chance.choice(_FOLLOW_UPS),
    }


def _dialogue(facts: Mapping[str, str], chance: random.Random) -> str:
    lines = [
        f"Doctor: {chance.choice(_GREETINGS)}",
        f"Patient: {chance.choice(_OPENINGS).format_map(facts)}",
        chance.choice(_ASIDES),
        f"Doctor: {chance.choice(_EXAMINATIONS).format_map(facts)}",
        f"Doctor: {chance.choice(_ASSESSMENTS).format_map(facts)} {chance.choice(_PLANS).format_map(facts)}",
    ]
    return "\n".join(line for line in lines if line)


def _note(facts: Mapping[str, str]) -> dict[str, object]:
    return {
        "S": {key: facts[key] for key in ("complaint", "duration", "severity")},
        "O": {key: facts[key] for key in ("temperature", "blood_pressure", "pulse")},
        "A": facts["assessment"].removeprefix("a ").removeprefix("an "),
        "P": {key: facts[key] for key in ("drug", "dose", "follow_up")},
    }
