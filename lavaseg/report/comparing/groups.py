"""Which runs can be held against each other: those on the same data with the same classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lavaseg.report.comparing.subjects import Subject
from lavaseg.results.evaluation import Evaluation
from lavaseg.system.words import counted

Whose = Literal["exported", "trained"]
"""The integers, or the float network."""
WHOSE = {"exported": "integers", "trained": "float networks"}


@dataclass(frozen=True)
class Member:
    """A subject with its number in the comparison, which tables call it by."""

    number: int
    subject: Subject

    @property
    def mark(self) -> str:
        return f"#{self.number}"


@dataclass(frozen=True)
class Group:
    """Subjects whose mIoU can be compared; the first is what the others are held against.

    Args:
        data: name of the data set; "" where it is not known.
        classes: class names.
        members: in the order in which they were given.
    """

    data: str
    classes: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def title(self) -> str:
        """The data set and the number of classes."""
        return f"{self.data or 'data not known'}, {counted(len(self.classes), 'class', 'classes')}"

    @property
    def reference(self) -> Member:
        """The first that was evaluated, or the first."""
        return next((m for m in self.members if m.subject.evaluation is not None), self.members[0])

    @property
    def whose(self) -> Whose:
        """Whose IoU of each class is shown: of the networks that more of the members have."""
        have = {
            which: sum(evaluation_of(m.subject, which) is not None for m in self.members)
            for which in ("exported", "trained")
        }
        return "exported" if have["exported"] >= have["trained"] else "trained"

    def against(self, member: Member, which: Whose) -> float:
        """mIoU points above the reference; nan where that makes no sense."""
        if member is self.reference:
            return math.nan
        own, other = (evaluation_of(m.subject, which) for m in (member, self.reference))
        if own is None or other is None or not same_samples(own, other):
            return math.nan
        return 100 * (own.miou - other.miou)

    def above(self, member: Member) -> tuple[float, bool]:
        """mIoU points above the reference, and whether they are those of the float networks.

        They are those of the integers where both have them.
        """
        points = self.against(member, "exported")
        if math.isfinite(points):
            return points, False
        points = self.against(member, "trained")
        return points, math.isfinite(points)

    def class_differences(self) -> tuple[list[Member], np.ndarray, np.ndarray]:
        """Who is shown, IoU of each class 0 .. 1, and points above the first of those shown.

        Both are (classes, members); nan is what is not known, of points also what other test
        samples keep from being subtracted.
        """
        pairs = [(m, evaluation_of(m.subject, self.whose)) for m in self.members]
        known = [(member, found) for member, found in pairs if found is not None]
        if not known:
            return [], np.zeros((len(self.classes), 0)), np.zeros((len(self.classes), 0))
        first = known[0][1]
        iou = np.stack([found.iou for _, found in known], 1)
        alike = [same_samples(found, first) for _, found in known]
        return [m for m, _ in known], iou, np.where(alike, 100 * (iou - iou[:, :1]), np.nan)

    def notes(self) -> list[str]:
        """What keeps figures of the group from being compared one to one."""
        found = []
        for which in ("trained", "exported"):
            found += _unlike(self, which)
        return list(dict.fromkeys(found))


def evaluation_of(subject: Subject, which: str) -> Evaluation | None:
    """The evaluation of the integers ("exported") or of the float network ("trained")."""
    return subject.exported if which == "exported" else subject.trained


def same_samples(one: Evaluation, other: Evaluation) -> bool:
    """Whether two evaluations judge as many samples."""
    return one.samples == other.samples


def _unlike(group: Group, which: str) -> list[str]:
    """Members that were judged on other samples or other labels than the first of them."""
    judged = [(m, e) for m in group.members if (e := evaluation_of(m.subject, which)) is not None]
    notes = []
    for member, found in judged[1:]:
        first, reference = judged[0]
        if not same_samples(found, reference):
            notes.append(
                f"{member.mark} was evaluated on {counted(found.samples, 'test sample')} and "
                f"{first.mark} on {reference.samples:,}: other test data, so their mIoU are not "
                "subtracted"
            )
        elif not np.array_equal(found.confusion.sum(1), reference.confusion.sum(1)):
            notes.append(
                f"the test labels of {member.mark} are not those of {first.mark} pixel for pixel "
                f"({_size(member)} and {_size(first)}): mIoU at the size that each network sees, "
                "which `lavaseg evaluate RUN --at labels` makes comparable"
            )
    return notes


def _size(member: Member) -> str:
    """Height and width of what a network sees."""
    run, net = member.subject.run, member.subject.net
    model = run.model if run is not None else (net.network if net is not None else None)
    return "size not known" if model is None else "x".join(map(str, model.input.shape[1:]))


def grouped(subjects: Sequence[Subject]) -> list[Group]:
    """The subjects in groups; a network alone joins the first runs that have its classes."""
    keys: dict[int, tuple[str, tuple[str, ...]]] = {}
    for index, subject in enumerate(subjects):
        if subject.run is not None:
            keys[index] = subject.data, subject.classes
    for index, subject in enumerate(subjects):
        if subject.run is None:
            like = (key for key in keys.values() if key[1] == subject.classes)
            keys[index] = next(like, ("", subject.classes))
    members = [Member(number, subject) for number, subject in enumerate(subjects, 1)]
    return [
        Group(data, classes, tuple(m for m in members if keys[m.number - 1] == (data, classes)))
        for data, classes in dict.fromkeys(keys[index] for index in range(len(subjects)))
    ]
