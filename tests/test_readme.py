"""The README: its findings are the report's, and the files that it names are there."""

import re

import pytest

from dlreport.errors import UserError
from readme import spliced


def test_its_findings_are_those_of_the_committed_report(repository):
    """`make readme` puts them there."""
    readme = (repository / "README.md").read_text()
    assert spliced(readme, (repository / "report/findings.md").read_text()) == readme


def test_other_findings_take_their_place():
    readme = "a\n<!-- findings: x -->\n\nold\n\n<!-- end of findings -->\nb\n"
    assert spliced(readme, "new\n") == "a\n<!-- findings: x -->\n\nnew\n\n<!-- end of findings -->\nb\n"
    with pytest.raises(UserError, match="once each"):
        spliced("no such comment", "new\n")


def test_the_files_that_it_names_are_there(repository):
    readme = (repository / "README.md").read_text()
    named = set(re.findall(r"\]\(([^)#:]+)\)|`((?:src|stages|studies|tools|tests|docs)/[\w./]+)`", readme))
    paths = {a or b for a, b in named}
    assert len(paths) > 10
    assert [path for path in sorted(paths) if not (repository / path).exists()] == []
