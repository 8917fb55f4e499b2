"""The report as a reader has it: drawn, used and printed by a browser."""

import re

import numpy as np
import pytest
import toy

from pruning.jobs.report import report
from pruning.selecting import select
from pruning.selection import Rule

# What the page must show as its characters, and what it would do if it did not.
HOSTILE = """<script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">
</article></div></style><style>body { display: none }</style><h1 id=forged>forged</h1>
<svg onload="window.hacked = 3"></svg> javascript:alert(1) &lt;b&gt; ]]> <!-- \u202eesrever
<a href="https://example.org/" onclick="window.hacked = 4">link</a> <meta http-equiv=refresh>"""
VIEWPORTS = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def page_path(tmp_path_factory):
    """Two stores and three selections of a corpus with hostile texts, names and fields."""
    folder = tmp_path_factory.mktemp("report")
    texts = [f"{text} number{i}" for i, text in enumerate(toy.texts(120, most_words=80))]
    texts[7] = texts[60] = HOSTILE
    domains = [
        ("web", "<b>books</b>", "a-very-long-domain-name.example.org/" * 2)[i % 3]
        for i in range(120)
    ]
    path = toy.write_jsonl(folder / "d.jsonl", texts, domain=domains)
    spec, fields = f"jsonl:{path}", ["domain"]
    ppl = toy.score(["perplexity"], spec, folder / "ppl", fields=fields)
    control = toy.score(["random"], spec, folder / "control", fields=fields)
    middle = select(ppl, folder / "middle", rule=Rule(keep="middle", fraction=0.5))
    each = select(ppl, folder / "each", rule=Rule(keep="low", fraction=0.3, per="domain"))
    score = "rank(c.random) - rank(p.nll)"
    both = select(
        {"p": ppl, "c": control}, folder / "both", rule=Rule(keep="high", documents=30), score=score
    )
    output = folder / "report.html"
    stores = [str(store.folder) for store in (ppl, control)]
    chosen = [str(selection.folder) for selection in (middle, each, both)]
    experiment = toy.write_experiment(folder / "small", arms=("full", "<b>low50</b>"))
    report(stores, str(output), chosen, experiment=[experiment], training_tokens=100_000)
    return output


def opened(browser, page_path, size="desktop", scheme="light"):
    """The page, with everything that it says to the console or asks the network for."""
    width, height = VIEWPORTS[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(page_path.as_uri())
    return page


@pytest.fixture
def page(browser, page_path):
    page = opened(browser, page_path)
    yield page
    page.context.close()


@pytest.mark.parametrize("size", VIEWPORTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_overlaps_and_the_console_is_silent(browser, page_path, size, scheme):
    page = opened(browser, page_path, size, scheme)
    assert page.said == []
    assert page.asked == [page_path.as_uri()]
    width = VIEWPORTS[size][0]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    beyond = page.evaluate(
        """width => [...document.querySelectorAll('body *')].filter(e => {
             const box = e.getBoundingClientRect();
             return box.width && box.right > width + 1 && !e.closest('.scroll');
           }).map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert beyond == []
    overlapping = page.evaluate(
        """() => {
          const wrong = [];
          const groups = ['.axis span', '.row', 'article', '.quantiles > span', 'td, th', 'nav a'];
          for (const group of groups) {
            const found = [...document.querySelectorAll(group)].filter(e => e.offsetParent);
            for (let i = 1; i < found.length; i++) {
              if (found[i].parentElement !== found[i - 1].parentElement) continue;
              const a = found[i - 1].getBoundingClientRect(), b = found[i].getBoundingClientRect();
              const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
              const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
              if (x > 1 && y > 1) wrong.push([group, found[i - 1].innerText, found[i].innerText]);
            }
          }
          return wrong;
        }"""
    )
    assert overlapping == []
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(browser, page_path, scheme):
    page = opened(browser, page_path, scheme=scheme)
    colours = page.evaluate(
        """() => ['body', '.how', 'a', '.text'].map(s => {
             const e = document.querySelector(s);
             return getComputedStyle(e).color;
           }).concat(getComputedStyle(document.body).backgroundColor)"""
    )
    *inks, paper = (_luminance(c) for c in colours)
    for ink in inks:
        light, dark = max(ink, paper), min(ink, paper)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA
    page.context.close()


def test_a_document_of_markup_is_its_characters_and_runs_nothing(page):
    assert page.evaluate("window.hacked") is None
    assert page.query_selector("#forged") is None
    assert page.query_selector("img, article script, article style, article a") is None
    shown = page.eval_on_selector_all(".text", "found => found.map(e => e.textContent)")
    mine = next(text for text in shown if text.startswith("<script>"))
    assert HOSTILE.startswith(mine.partition(" … and")[0].rstrip())
    # A script put into the page does not run, either: only ours is allowed.
    page.evaluate(
        """() => {
          const s = document.createElement('script');
          s.textContent = 'window.hacked = 5';
          document.body.append(s);
        }"""
    )
    assert page.evaluate("window.hacked") is None


def test_the_search_finds_documents_and_orders_them(page):
    box, found = page.locator("#search-text"), page.locator("#search-found")
    visible = "#search-documents article:not([hidden])"
    total = page.locator(visible).count()
    assert total == 120
    box.fill("number17")
    assert found.inner_text() == "1 document"
    assert page.locator(visible).count() == 1
    assert "number17" in page.locator(visible).inner_text()
    box.fill("NUMBER1 the")
    shown = page.locator(visible).all_inner_texts()
    assert shown
    assert all("number1" in text and "the" in text.lower() for text in shown)
    box.fill("<script>")
    assert found.inner_text() == "2 documents"
    box.fill("no such words")
    assert found.inner_text() == "0 documents"
    box.fill("")
    assert page.locator(visible).count() == total
    for option in ("ppl.nll", "control.random"):
        page.select_option("#search-order", label=option)
        articles = page.locator("#search-documents article header").all_inner_texts()
        pattern = re.escape(option) + r"\s+(\S+)"
        scores = [float(re.search(pattern, a)[1].replace("−", "-")) for a in articles]
        assert scores == sorted(scores)
        assert len(scores) == total
    page.select_option("#search-order", label="chance")
    assert page.said == []


def test_an_experiment_is_drawn_in_the_colours_of_the_page(browser, page_path):
    found = {}
    for scheme in ("light", "dark"):
        page = opened(browser, page_path, scheme=scheme)
        section = page.locator("#experiments")
        assert section.locator("svg polyline").count() >= 6
        assert "<b>low50</b>" in section.inner_text()
        found[scheme] = page.evaluate(
            """() => [getComputedStyle(document.querySelector('.curves text')).fill,
                      getComputedStyle(document.body).color]"""
        )
        page.context.close()
    assert found["light"][0] == found["light"][1] != found["dark"][0] == found["dark"][1]


def test_links_lead_to_their_sections(page):
    for link in page.locator("nav a").all():
        link.click()
        anchor = link.get_attribute("href").removeprefix("#")
        assert page.evaluate("location.hash") == f"#{anchor}"
        top = page.locator(f"#{anchor}").evaluate("e => e.getBoundingClientRect().top")
        assert top < 900


def test_every_picture_says_how_to_read_it(page):
    silent = page.evaluate(
        """() => [...document.querySelectorAll('.figure, .maps, .heat, .composition, .curves')].filter(e => {
             let before = e.closest('.scroll') || e;
             for (let i = 0; i < 3 && before; i++) {
               before = before.previousElementSibling;
               if (before && before.classList.contains('how')) return false;
             }
             return true;
           }).map(e => e.outerHTML.slice(0, 80))"""
    )
    assert silent == []


def test_prints_without_what_only_a_screen_has(browser, page_path, tmp_path):
    page = opened(browser, page_path)
    page.emulate_media(media="print")
    for hidden in ("nav", ".controls", "#search-documents"):
        assert not page.locator(hidden).is_visible()
    page.set_viewport_size({"width": 680, "height": 1000})  # A4 within its margins
    cut = """() => [...document.querySelectorAll('.scroll')].filter(
        e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert page.evaluate(cut) == []
    printed = tmp_path / "report.pdf"
    page.pdf(path=printed)
    assert printed.read_bytes().startswith(b"%PDF")
    page.context.close()


def test_without_scripts_all_documents_are_there(browser, page_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    assert page.locator("#search-documents article").count() == 120
    assert not page.locator(".controls").is_visible()
    context.close()


def test_the_page_names_hostile_fields_as_they_are(page):
    assert page.get_by_text("<b>books</b>", exact=True).count() > 0
    assert page.query_selector("th b") is None
    assert page.title().startswith("Scores of jsonl:")


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG 2 has it."""
    channels = np.array([int(c) for c in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
