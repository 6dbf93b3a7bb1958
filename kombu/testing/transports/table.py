"""The table that compares transports, made from what came of the conformance suite: nobody writes a "yes" by hand."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from io import StringIO

from kombu.testing.transports.case import TransportCase
from kombu.testing.transports.features import Feature, Verdict, feature_of

Column = Mapping[Feature, Verdict]
"""What one transport does with each feature."""

HEAD = """\
Transports compared
===================

.. Made by scripts/compare_transports.py from what came of the conformance suite. Do not edit.

Every transport has been through the same tests. *yes*: it keeps all that is promised. *refused*: it says so when the
feature is asked for, with an error that names it; nothing is ignored silently. *in part*: some of both. *broken*: a
promise is not kept, which is a bug.

"""
PROMISES = """
What each line promises
-----------------------

"""
_TABLE = ".. csv-table::"
_INDENT = "   "


def promises_of(case: type[TransportCase]) -> list[str]:
    """The names of its tests."""
    return [name for name in dir(case) if name.startswith("test_")]


def survey(case: type[TransportCase]) -> list[str]:
    """Try the promises that were not tried yet, without a test runner; answers what is broken, with the reason."""
    return [said for name in promises_of(case) if name not in case.verdicts and (said := _try(case, name))]


def is_complete(case: type[TransportCase]) -> bool:
    """Whether all its promises were tried."""
    return set(promises_of(case)) <= case.verdicts.keys()


def column(case: type[TransportCase]) -> Column:
    """What came of each feature so far."""
    found: dict[Feature, set[Verdict]] = {}
    for feature, verdict in case.verdicts.values():
        found.setdefault(feature, set()).add(verdict)
    return {feature: _summed_up(found[feature]) for feature in Feature if feature in found}


def render(columns: Mapping[str, Column], promises: Iterable[str]) -> str:
    """The page, in reStructuredText: a line for each feature, a column for each transport."""
    rows = [["Feature", *columns]]
    rows += [[feature.title, *(column.get(feature, "") for column in columns.values())] for feature in Feature]
    header, *lines = [_line(row) for row in rows]
    table = [
        _TABLE,
        f"{_INDENT}:header: {header}",
        f"{_INDENT}:stub-columns: 1",
        "",
        *(_INDENT + each for each in lines),
    ]
    return HEAD + "\n".join(table) + "\n" + PROMISES + "\n".join(_explained(list(promises)))


def parse(page: str) -> dict[str, Column]:
    """The columns of a page that :func:`render` made; none of any other page."""
    _, found, after = page.partition(_TABLE)
    if not found:
        return {}
    head, *rest = after.split("\n\n")
    header = head.partition(":header: ")[2].partition("\n")[0]
    rows = list(csv.reader([header, *rest[0].splitlines()], skipinitialspace=True))
    features = {feature.title: feature for feature in Feature}
    known = [(features[row[0]], row) for row in rows[1:] if row[0] in features]
    return {
        name: {feature: Verdict(row[place]) for feature, row in known if row[place]}
        for place, name in enumerate(rows[0])
        if place
    }


def _try(case: type[TransportCase], name: str) -> str | None:
    tried = case()
    tried.setup_method()
    try:
        getattr(tried, name)()
    except Exception as error:  # noqa: BLE001 - whatever a promise meets, the next one is tried
        return f"{name}: {error!r}"
    finally:
        tried.teardown_method()
    return None


def _summed_up(verdicts: set[Verdict]) -> Verdict:
    if Verdict.BROKEN in verdicts:
        return Verdict.BROKEN
    return next(iter(verdicts)) if len(verdicts) == 1 else Verdict.IN_PART


def _line(row: Iterable[str]) -> str:
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="").writerow(row)
    return text.getvalue().replace('","', '", "')


def _explained(promises: list[str]) -> Iterable[str]:
    for feature in Feature:
        yield feature.title
        for name in promises:
            if feature_of(name) is feature:
                yield f"{_INDENT}* {_sentence(name)}"
        yield ""


def _sentence(promise: str) -> str:
    words = promise.removeprefix("test_").replace("_", " ")
    return f"{words[0].upper()}{words[1:]}."
