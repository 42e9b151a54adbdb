"""Whether attributes of single sealed cases may be published, so that anyone can take the fairness audit again.

Beside them stand the values of each case, under an anonymous id, and the opaque number of its site: whoever has both has every group
and every crossing that there is, and what the audit withholds could be had by counting. So the attributes of patients are told only
where the task says so (`fairness.attributes_by_case`) and where every combination that occurs, of all declared attributes and the
stratum together, is shared by at least `fairness.minimum` patients: k-anonymity with k the smallest group that is shown anyway
(Sweeney, "k-anonymity", International Journal of Uncertainty, Fuzziness and Knowledge-Based Systems 2002). No group, no crossing and no
difference of groups is then smaller. Phantoms are nobody's images; theirs are always told.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.contract import Case, Task
from benchmark.fairness import UNKNOWN

UNASKED = "attributes of single sealed patients are not published unless the task says so"


def withheld(task: Task, cases: Sequence[Case], kind: str) -> str:
    """Why the attributes of these cases are not published, in words that reveal no count; empty where they are.

    `kind` is that of the edition, `phantom` or `real`.
    """
    if kind == "phantom":
        return ""
    if not task.fairness.attributes_by_case:
        return UNASKED
    names = [attribute.name for attribute in task.attributes]
    names += [task.stratify] if task.stratify and task.stratify not in names else []
    people: dict[tuple[str, ...], set[str]] = {}
    for case in cases:
        cell = tuple(case.attributes.get(name, "") or UNKNOWN for name in names)
        patient = case.attributes.get(task.cluster, "") if task.cluster else ""
        people.setdefault(cell, set()).add(patient or f"\0{case.id}")
    if any(len(own) < task.fairness.minimum for own in people.values()):
        return f"attributes of single cases would single out fewer than {task.fairness.minimum} patients, and are not published"
    return ""


def attributes(task: Task, cases: Sequence[Case]) -> list[dict[str, str]]:
    """The id and the declared attributes of each case, by id; what is not known is left out."""
    names = [attribute.name for attribute in task.attributes]
    return [
        {"case": case.id} | {name: case.attributes[name] for name in names if case.attributes.get(name)}
        for case in sorted(cases, key=lambda case: case.id)
    ]
