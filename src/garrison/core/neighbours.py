"""Files that are only numbers, and say so nowhere themselves: what they are, a model beside them tells."""

import posixpath
from collections.abc import Sequence

from garrison.core.facts import Examination, Reference

RAW = "raw-data"


def account_for_raw_data(examinations: Sequence[Examination]) -> None:
    """Mark as raw data what no format was found in, and what an examined model beside it keeps its tensors in."""
    unknown = {e.subject: e for e in examinations if e.state == "not-understood" and not e.formats}
    if not unknown:
        return
    for examination in examinations:
        folder = examination.subject.rpartition("/")[0]
        for fact in examination.facts:
            if type(fact) is Reference and fact.role == "external-data":
                found = unknown.get(posixpath.join(folder, fact.target.replace("\\", "/")))
                if found is not None and found is not examination:
                    found.formats = [RAW]
                    found.state, found.reason = "examined", ""
