"""The page in a browser: Debian's chromium, driven by Playwright. Screenshots are kept in artifacts/tests/report."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from support.intent_samples import many
from support.modules import PROJECT
from support.report_samples import drilled, drills, host_vars, of_lab, three_faults, verified
from support.templates import GOLDEN

from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.files import write
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.stages import add_stages

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: run bin/setup --dev")

NAME = "l3_hypervisor"
SCREENSHOTS = PROJECT / "artifacts" / "tests" / "report"
WIDE, PHONE = {"width": 1400, "height": 950}, {"width": 390, "height": 844}
STAGES = [
    ("Set up VRFs, interfaces and routes", 3.2),
    ("Run BGP with BIRD", 4.1),
    ("Verify nodes", 6.5),
]
CONFIGURATION = (GOLDEN / "templates/hypervisor/bird.conf").read_text()
NASTY = "<img src=x onerror=document.title='broken'></script>"


def large_faults(node: str, expected: dict) -> str:
    if node == "hv40" and expected["kind"] in ("bfd", "bgp") and "rr2" in str(expected.get("session", "rr2")):
        return "Down"
    if node == "hv17" and expected["kind"] == "route":
        return "no such route"
    return "a reply" if node == "vm3-1" and expected.get("expect") == "silence" and expected["kind"] == "ping" else ""


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, Path]:
    """A page for each situation."""
    found = {}
    variables = of_lab(NAME)
    good, bad = verified(NAME, variables), verified(NAME, variables, three_faults)
    directory = tmp_path_factory.mktemp("large")
    (directory / "fabric.yml").write_text(yaml.safe_dump(many(66, 2), sort_keys=False))
    large = host_vars(directory / "fabric.yml")
    leaves = of_lab("contiv_leaf_ha")
    nasty = [drilled(NASTY, [[(0, 500, 24)]], NASTY, budget_ms=100)]
    for name, given, document, previous, rehearsed in (
        ("good", variables, good, bad, []),
        ("three_failures", variables, bad, good, []),
        ("nasty", variables, verified(NAME, variables, lambda node, expected: NASTY), None, nasty),
        ("two_hundred_nodes", large, verified(NAME, large, large_faults), None, drills()),
        ("leaves", leaves, verified("contiv_leaf_ha", leaves), None, []),
        ("drills", variables, good, None, drills()),
    ):
        place = tmp_path_factory.mktemp(name)
        texts = {
            node: {"etc/bird/bird.conf": f"# of {node}, {NASTY}\n{CONFIGURATION}"} for node in given if node[:2] == "hv"
        }
        write(place, given, document, previous or "there is no earlier report", rehearsed, texts)
        add_stages(place, "site.yml", STAGES)
        found[name] = place / "report.html"
    return found


@pytest.fixture(scope="session")
def browser():
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no browser: install Debian's package chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_api.sync_playwright() as playwright:
        # Its sandbox does not run as root. The pages are ours.
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, pages):
    """opened(NAME, …) is a page that is ready. Errors, and requests for anything but the page, fail the test."""
    contexts, complaints = [], []

    def open_page(name: str, fragment: str = "", scheme: str = "light", viewport=WIDE):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("file:") else complaints.append(request.url))
        page.goto(f"{pages[name].as_uri()}{fragment}")
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def shot(page, name: str, **settings) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png", **settings)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["good", "three_failures", "two_hundred_nodes", "leaves"])
@pytest.mark.parametrize("device", ["wide", "phone"])
def test_the_page_fits_its_screen(opened, name, scheme, device):
    page = opened(name, scheme=scheme, viewport={"wide": WIDE, "phone": PHONE}[device])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(", "))) < 200) == (scheme == "dark")
    shot(page, f"{name}_{scheme}_{device}")
    for section in ("topology", "reachability"):
        page.evaluate("id => document.getElementById(id).scrollIntoView()", section)
        shot(page, f"{name}_{scheme}_{device}_{section}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["wide", "phone"])
def test_drills_are_drawn_the_failed_ones_first(opened, scheme, device):
    page = opened("drills", "#drills", scheme, {"wide": WIDE, "phone": PHONE}[device])
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"drills_{scheme}_{device}")
    page.locator("#drills").screenshot(path=SCREENSHOTS / f"drills_{scheme}_{device}_all.png")
    assert page.locator("article.drill h3").first.inner_text() == (
        "the uplink of hv1 to fabric A is cut exceeds its budget"
    )
    link = page.locator("#failures a", has_text="the uplink of hv1 to fabric A is cut")
    assert page.locator(link.get_attribute("href")).is_visible()


def test_a_plot_is_to_scale_and_has_a_text_for_each_gap(opened):
    page = opened("drills")
    plot = page.locator("#drill-1 svg")
    box = "found => found.map((one) => { const box = one.getBBox(); return [box.x, box.width]; })"
    assert plot.locator(".lane").count() == 4 * 5
    gaps = plot.locator(".gap").evaluate_all(box)
    # From -3 to 1377 ms, and later ones 320 ms more; a short one in each run.
    (begin, first), (_x, short) = gaps[:2]
    scale = first / 1380
    assert [round(width / scale) for _x, width in gaps[0::2]] == pytest.approx([1380, 1700, 2020, 2340, 2660], abs=2)
    assert short / scale == pytest.approx(60, abs=2)
    assert plot.locator(".gap.failed").count() == 3
    [(bfd, _w), (budget, _w)] = plot.locator(".mark").evaluate_all(box)
    assert [(x - begin) / scale for x in (bfd, budget)] == pytest.approx([1503, 2003], abs=4)
    assert plot.locator(".gap title").first.text_content() == (
        "vm1 to vm3 (IPv4), run 1: 68 lost in 1,380 ms, from -3 to 1,377 ms"
    )
    assert "1 of 5" not in plot.locator("title").first.text_content()
    page.locator("#drill-1 summary").focus()
    page.keyboard.press("Enter")
    assert "run 5: -3 to 2657 (132 lost), 3600 to 3660 (2 lost)" in page.locator("#drill-1 table").inner_text()


def test_drills_are_searched_and_printed(opened):
    page = opened("drills")
    page.fill("#search", "lose_fabric")
    sync_api.expect(page.locator("article.drill:visible")).to_have_count(1)
    page.fill("#search", "")
    page.check("#only-failed")
    assert page.locator("article.drill:visible").count() == 1
    page.uncheck("#only-failed")
    page.emulate_media(media="print")
    assert page.locator("article.drill svg:visible").count() == 3
    page.pdf(path=SCREENSHOTS / "drills.pdf", print_background=True)
    shot(page, "drills_print", full_page=True)


def test_every_text_has_enough_contrast(opened):
    """WCAG 2 asks for 4.5."""
    script = """() => {
      const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
      const linear = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
      const light = (c) => { const [r, g, b] = c.map(linear);
        return .2126 * r + .7152 * g + .0722 * b; };
      const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length === 3 || c[3] === 1) return c.slice(0, 3); } return [255, 255, 255]; };
      const found = [];
      for (const e of document.querySelectorAll("body *:not(svg *)")) {
        if (!e.offsetParent || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
        const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(ground(e))].sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) found.push(`${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`);
      }
      return found;
    }"""
    for scheme in ("light", "dark"):
        for name in ("three_failures", "drills"):
            assert opened(name, "#node=hv2", scheme).evaluate(script) == []


def test_search_leaves_what_matches(opened):
    page = opened("two_hundred_nodes")
    page.fill("#search", "hv17")
    sync_api.expect(page.locator("#sessions caption")).to_have_text("12 sessions as each end sees it")
    assert page.locator("#drawing .node:not(.far)").evaluate_all("found => found.map((node) => node.dataset.node)") == [
        "hv17",
        "vm17-1",
        "vm17-2",
    ]
    assert page.locator("#reachability .matrix").count() > 0
    page.fill("#search", "no such thing anywhere")
    sync_api.expect(page.locator("#results caption")).to_have_text("0 results")
    assert page.locator("#reachability .content").inner_text() == "Nothing matches."


def test_failed_only_leaves_failures(opened):
    page = opened("three_failures")
    page.check("#only-failed")
    assert page.locator("#results caption").inner_text() == "14 results"
    assert page.locator("#results tbody tr:not(.failed)").count() == 0
    assert page.locator("#reachability td.failed").all_inner_texts() == ["‼"]
    page.select_option("#kind", "route")
    assert page.locator("#results tbody tr").count() == 1


def test_a_link_opens_the_details_and_escape_closes_them(opened):
    page = opened("three_failures")
    page.locator(".failures a", has_text="hv3").last.evaluate(
        "link => link.closest('details')?.setAttribute('open', '')"
    )
    page.locator(".failures a", has_text="hv3").last.click()
    details = page.locator("#details")
    assert details.locator("h2").inner_text() == "hv3"
    assert "no such route" in details.inner_text()
    assert "198.51.100.101, 198.51.100.201" in details.inner_text()
    assert "172.22.15.103/25" in details.inner_text()
    assert page.locator("#drawing .chosen").get_attribute("data-node") == "hv3"
    details.locator("a", has_text="vm4").first.click()
    sync_api.expect(details.locator("h2")).to_have_text("vm4")
    page.keyboard.press("Escape")
    assert details.is_hidden()


def test_the_address_of_a_node_opens_it(opened):
    page = opened("three_failures", "#node=vm1", "dark")
    assert page.locator("#details h2").inner_text() == "vm1"
    assert page.locator("#details").evaluate("details => details.contains(document.activeElement)")
    shot(page, "details_dark")


def test_the_details_have_the_configuration(opened):
    page = opened("three_failures", "#node=hv2")
    configuration = page.locator("#configuration")
    configuration.locator("summary", has_text="etc/bird/bird.conf").click()
    assert configuration.locator("pre").text_content() == f"# of hv2, {NASTY}\n{CONFIGURATION}"
    configuration.locator("pre").scroll_into_view_if_needed()
    shot(page, "configuration")
    page.evaluate("location.hash = '#node=vm1'")
    sync_api.expect(page.locator("#details h2")).to_have_text("vm1")
    sync_api.expect(configuration).to_be_empty()


def test_a_click_in_the_drawing_opens_the_details(opened):
    page = opened("leaves")
    page.locator("#drawing [data-node='leaf3']").click()
    assert page.locator("#details h2").inner_text() == "leaf3"


def test_the_drawing_can_be_walked_with_the_keyboard(opened):
    page = opened("good")
    page.locator("#drawing").focus()
    page.keyboard.press("Tab")
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
        walked.append(page.evaluate("document.activeElement.dataset.node"))
    assert walked[:2] == ["internet", "rr2"]
    assert walked[2] in ("hv2", "hv3")
    page.keyboard.press("Enter")
    assert page.locator("#details h2").inner_text() == walked[2]


def test_the_drawing_zooms_and_fits(opened):
    page = opened("two_hundred_nodes")
    width = "document.querySelector('#drawing svg').getBoundingClientRect().width"
    fitting = page.evaluate(width)
    assert fitting <= WIDE["width"]
    page.click("#zoom-in")
    assert page.evaluate(width) > fitting * 1.2
    page.click("#zoom-full")
    assert page.evaluate("document.querySelector('#drawing svg').viewBox.baseVal.width") == page.evaluate(width)
    page.click("#zoom-fit")
    assert abs(page.evaluate(width) - fitting) < 2


def test_the_theme_can_be_chosen(opened):
    page = opened("good", scheme="light")
    colours = set()
    for wanted in ("light", "dark"):
        page.click("#theme")
        assert page.locator("#theme").inner_text() == f"Theme: {wanted}"
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2


def test_printed_it_has_failures_topology_and_matrices_on_white(opened):
    page = opened("three_failures", scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    for section in ("failures", "topology", "reachability", "stages"):
        assert page.locator(f"#{section}").is_visible()
    page.pdf(path=SCREENSHOTS / "three_failures.pdf", print_background=True)
    shot(page, "three_failures_print", full_page=True)


def test_markup_in_what_was_seen_stays_text(opened):
    page = opened("nasty", "#node=hv1")
    assert NASTY in page.locator("#details").inner_text()
    assert NASTY in page.locator("#drill-1 h3").inner_text()
    assert "broken" not in page.title()
    assert page.locator("img").count() == 0


def test_without_scripts_the_page_has_failures_and_topology(browser, pages):
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    page = context.new_page()
    page.goto(pages["three_failures"].as_uri())
    assert "no such route" in page.content()
    assert page.locator("#drawing svg").is_visible()
    assert page.locator("noscript p").is_visible()
    context.close()


def test_two_hundred_nodes_are_ready_soon(opened, record_property):
    page = opened("two_hundred_nodes")
    ready = page.evaluate("performance.now()")
    record_property("ready_ms", round(ready))
    assert page.locator("#drawing .node").count() == 3 + 66 * 3
