"""The README and docs/: the README's findings are the report's, and the files that a page names are there."""

import re

import pytest

from dlreport.errors import UserError
from readme import spliced
from scratch import ROOT

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def test_its_findings_are_those_of_the_committed_report(repository):
    """`make readme` puts them there."""
    readme = (repository / "README.md").read_text()
    assert spliced(readme, (repository / "report/findings.md").read_text()) == readme


def test_other_findings_take_their_place():
    readme = "a\n<!-- findings: x -->\n\nold\n\n<!-- end of findings -->\nb\n"
    assert spliced(readme, "new\n") == "a\n<!-- findings: x -->\n\nnew\n\n<!-- end of findings -->\nb\n"
    with pytest.raises(UserError, match="once each"):
        spliced("no such comment", "new\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_are_there(page):
    """A link starts from the page's folder, a path in a sentence from the root."""
    text = page.read_text()
    linked = {page.parent / path for path in re.findall(r"\]\((?!https?:)([^)#]+)[)#]", text)}
    named = {ROOT / path for path in re.findall(r"`((?:src|stages|studies|tools|tests|docs)/[\w./]+)`", text)}
    assert [str(path) for path in sorted(linked | named) if not path.exists()] == []


def test_the_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\(docs/(\w+\.md)[)#]", PAGES[0].read_text()))
    assert linked == {page.name for page in PAGES[1:]}
