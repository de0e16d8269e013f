"""The report as one self-contained page.

It loads nothing from anywhere, and its content security policy allows only its own style and filter script, by their
hashes: should a hostile name ever escape the escaping, it still could not run.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from garrison.core.findings import Finding
from garrison.core.registry import rules
from garrison.core.report import Report
from garrison.reporting import summary
from garrison.reporting.text import listed, printable, shortened
from garrison.threats import threat

_TEMPLATES = Path(__file__).parent / "templates"
_SHOWN = 3
_FOLDED = 200
_FILES = 5_000
_ROWS = 2_000
_MESSAGE = 2_000


def render(report: Report) -> str:
    """A page for people: the verdict, findings with a filter, what was examined, and the rules explained."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
    )
    style = (_TEMPLATES / "report.css").read_text()
    script = (_TEMPLATES / "report.js").read_text()
    policy = (
        f"default-src 'none'; style-src '{content_hash(style)}'; script-src '{content_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template("report.html.jinja")
    return template.render(_page(report), style=Markup(style), script=Markup(script), policy=Markup(policy)) + "\n"


def shown(value: object) -> object:
    """Every value of the template on its way out: what is invisible in text is written out."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def content_hash(text: str) -> str:
    """As a content security policy names what it allows."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _page(report: Report) -> dict[str, Any]:
    title, reason = summary.verdict(report)
    groups = summary.groups(report)
    entries = report.coverage.entries
    return {
        "report": report,
        "title": title,
        "reason": reason,
        "started": report.started.strftime("%Y-%m-%d %H:%M UTC"),
        "subjects": report.subjects[:20],
        "severities": {str(name): count for name, count in summary.severities(report).items()},
        "examined": summary.examined(report),
        "formats": listed((f"{name} {count}" for name, count in summary.format_counts(report).items()), 20),
        "checks": [summary.checked(check) for check in report.checks],
        "notes": report.notes,
        "groups": [_group(group) for group in groups[:_FILES]],
        "files_omitted": max(len(groups) - _FILES, 0),
        "fold_count": sum(len(group.folds) for group in groups),
        "waived": list(_waived(report)),
        "expired": report.decision.expired,
        "gaps": [
            {
                "subject": entry.subject,
                "state": summary.STATES.get(entry.state, entry.state),
                "reason": shortened(entry.reason, _MESSAGE),
            }
            for entry in entries[:_ROWS]
        ],
        "gap_count": len(entries),
        "inventory": list(_inventory(report)),
        "inventory_count": len(report.inventory),
        "digests": any(item.sha256 for item in report.inventory),
        "rules": list(_rules(report)),
    }


def _group(group: summary.Group) -> dict[str, Any]:
    return {"file": group.file, "folds": [_fold(group.file, fold) for fold in group.folds]}


def _fold(file: str, fold: summary.Fold) -> dict[str, Any]:
    items = [_item(file, item) for item in fold.findings[: _SHOWN + _FOLDED]]
    few = len(fold.findings) <= _SHOWN + 1
    return {
        "rule": fold.rule,
        "severity": str(fold.severity),
        "fix": fold.fix,
        "shown": items if few else items[:_SHOWN],
        "folded": [] if few else items[_SHOWN:],
        "more": len(fold.findings) - _SHOWN,
        "omitted": max(len(fold.findings) - _SHOWN - _FOLDED, 0),
    }


def _item(file: str, item: Finding) -> dict[str, str]:
    return {"file": file, "location": summary.location(item), "message": shortened(item.message, _MESSAGE)}


def _waived(report: Report) -> Iterator[dict[str, str]]:
    for entry in report.decision.waived[:_ROWS]:
        waiver = entry.waiver
        yield {
            "rule": waiver.rule,
            "subject": summary.location(entry.finding),
            "reason": waiver.reason,
            "owner": waiver.owner,
            "expires": str(waiver.expires),
        }


def _inventory(report: Report) -> Iterator[dict[str, str]]:
    for item in report.inventory[:_ROWS]:
        yield {
            "subject": item.subject,
            "formats": ", ".join(item.formats),
            "size": "" if item.size is None else f"{item.size:,}",
            "sha256": item.sha256 or "",
        }


def _rules(report: Report) -> Iterator[dict[str, Any]]:
    """The catalogue's entries for the rules that were found, the worst first."""
    worst: dict[str, Finding] = {}
    for item in summary.open_findings(report):
        if item.rule not in worst or item.severity.rank > worst[item.rule].severity.rank:
            worst[item.rule] = item
    for name, item in sorted(worst.items(), key=lambda entry: (-entry[1].severity.rank, entry[0])):
        rule = rules().get(name)
        yield {
            "id": name,
            "severity": str(item.severity),
            "title": rule.title if rule else name,
            "description": rule.description if rule else item.message,
            "fix": rule.fix if rule else item.fix,
            "threats": [found for entry in item.threats if (found := threat(entry)) is not None],
            "references": [url for url in item.references if url.startswith(("https://", "http://"))],
        }
