"""The files of the report: everything is in them, every name is escaped, and large fabrics stay small and fast."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import time
import zlib
from xml.etree import ElementTree

import pytest
import yaml
from support.intent_samples import many
from support.modules import PROJECT
from support.report_samples import drilled, drills, host_vars, of_lab, three_faults, verified

from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.build import build
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.document import text
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.files import graphs, write
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.junit import junit
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.layout import layout
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.markdown import markdown
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.mermaid import mermaid
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.page import page
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.plot import plot
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.stages import PLACE, add_stages
from ansible_collections.routed.hypervisor.plugins.plugin_utils.report.svg import svg

NAME = "l3_hypervisor"
# Whatever a daemon or another program prints may end up in a result.
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too' | `code` [x](y) \x1b[31m\x00"


@pytest.fixture(scope="module")
def variables() -> dict:
    return of_lab(NAME)


@pytest.fixture(scope="module")
def faulty(variables):
    return build(variables, verified(NAME, variables, three_faults), verified(NAME, variables))


@pytest.fixture(scope="module")
def nasty(variables):
    """Names, titles and what was seen contain markup."""
    swapped = json.loads(json.dumps(variables).replace('"hv1"', json.dumps(NASTY + "hv1")))
    document = verified(NASTY, swapped, lambda node, expected: NASTY)
    return build(swapped, document, f"because {NASTY}", [drilled(NASTY, [[(0, 500, 24)]], NASTY, budget_ms=100)])


@pytest.fixture(scope="module")
def rehearsed(variables):
    return build(variables, verified(NAME, variables), None, drills())


def data(html: str) -> dict:
    packed = re.search(r'id="data">([^<]*)<', html)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def large(tmp_path, hypervisors: int, guests: int) -> dict:
    path = tmp_path / "fabric.yml"
    path.write_text(yaml.safe_dump(many(hypervisors, guests), sort_keys=False))
    return host_vars(path)


def test_the_page_has_the_failures_without_any_script(faulty):
    html = page(faulty)
    static = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    for failure in faulty.failures:
        assert failure.title in static
        assert failure.seen in static
        assert failure.wanted in static
    assert static.index('<h2 id="h-failures"') < static.index('<h2 id="h-topology"')


def run_report(inventory, results):
    command = ["ansible-playbook", "-i", inventory, "playbooks/report.yml", "-e", f"report_path={results}"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def texts(html: str) -> dict:
    packed = re.search(r'id="texts">([^<]*)<', html)[1]
    return json.loads(zlib.decompress(base64.b64decode(packed))) if packed else {}


def test_the_page_has_the_configuration_of_nodes_without_any_password(variables, tmp_path):
    inventory = PROJECT / "inventories" / NAME
    listed = subprocess.run(
        ["ansible-inventory", "-i", inventory, "--host", "hv1"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    passwords = json.loads(listed.stdout)["bgp_passwords"]
    assert passwords.keys() == {"private", "public"}
    results = tmp_path / "verify.json"
    results.write_text(text(verified(NAME, variables)))
    run_report(inventory, results)
    html = (tmp_path / "report.html").read_text()
    found = texts(html)
    assert "protocol bgp" in found["etc/bird/bird.conf"]["hv1"]
    assert {"hv1", "hv2", "hv3"} == found["nftables.conf"].keys()
    assert "<bgp_passwords.public>" in found["etc/bird/secrets.conf"]["rr1"]
    everything = "".join(
        [
            html,
            json.dumps(data(html)),
            json.dumps(found),
            *((tmp_path / name).read_text() for name in ("report.md", "report.xml")),
        ]
    )
    assert not [key for key, password in passwords.items() if password in everything]


def test_a_page_that_is_written_without_texts_keeps_those_it_had(variables, tmp_path):
    document = verified(NAME, variables)
    write(tmp_path, variables, document, None, "", {"hv1": {"a/b.conf": NASTY}})
    write(tmp_path, variables, document, None)
    assert texts((tmp_path / "report.html").read_text()) == {"a/b.conf": {"hv1": NASTY}}
    (tmp_path / "report.html").write_text("<html>of an earlier version</html>")
    write(tmp_path, variables, document, None)
    assert texts((tmp_path / "report.html").read_text()) == {}


def test_the_page_needs_nothing_else(faulty):
    html = page(faulty)
    assert "default-src 'none'" in html
    # The only address is the name space of SVG.
    assert set(re.findall(r"https?://[^\s\"']+", html)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|iframe|img)\b|@import|url\(", html)


def test_the_page_has_every_result(faulty):
    found = data(page(faulty))
    assert len(found["results"]) == len(faulty.results)
    assert [node["name"] for node in found["nodes"]] == list(faulty.nodes)
    assert len(found["sessions"]) == 44


def test_markup_in_names_is_escaped_in_the_page_and_the_drawing(nasty):
    html = page(nasty)
    for written in (html, svg(nasty, is_alone=True)):
        assert "alert(1)</script>" not in written
        assert "<img" not in written
        assert "&lt;img src=x" in written
    assert html.count("</script>") == 3
    assert NASTY in {result[4] for result in data(html)["results"]}


def test_the_drawing_is_xml_whatever_the_names_are(faulty):
    root = ElementTree.fromstring(svg(faulty, is_alone=True))
    named = {element.get("data-node") for element in root.iter() if element.get("data-node")}
    assert named == set(faulty.nodes)


def test_markup_in_names_is_escaped_in_markdown_and_mermaid(nasty):
    graph = mermaid(nasty)
    for line in markdown(nasty).replace(graph, "").splitlines():
        assert "<script" not in line
        assert "\x1b" not in line
        assert line.count("|") in (0, 6, 9)
    labels = re.findall(r'\["(.*)"\]', graph)
    assert labels
    assert all('"' not in label and "<script" not in label for label in labels)


def test_junit_has_a_case_for_each_result_and_is_xml_whatever_was_seen(faulty, nasty):
    root = ElementTree.fromstring(junit(faulty))
    assert (root.get("tests"), root.get("failures")) == ("346", "14")
    assert len(root.findall(".//testcase")) == 346
    assert root.find(".//testsuite[@name='hv3']//failure").text == (
        "seen: no such route\nright: 198.51.100.101, 198.51.100.201"
    )
    assert len(ElementTree.fromstring(junit(nasty)).findall(".//failure")) == 347


def test_mermaid_draws_many_hypervisors_as_one_beside_those_that_failed(tmp_path):
    variables = large(tmp_path, 60, 1)
    report = build(variables, verified(NAME, variables, lambda node, expected: "no" if node == "vm7-1" else ""))
    graph = mermaid(report)
    assert '"59 hypervisors"' in graph
    assert '"hv7<br>' in graph
    assert len(graph.splitlines()) < 40


def test_nothing_in_the_drawing_overlaps(tmp_path):
    for hypervisors in (3, 12, 13, 40):
        variables = large(tmp_path, hypervisors, 8)
        made = layout(build(variables, verified(NAME, variables)))
        cards = [card for frame in made.frames for card in frame.cards]
        boxes = [*made.routers, *made.fabrics, *cards]
        for number, a in enumerate(boxes):
            assert a.x >= 0 and a.x + a.width <= made.width
            assert a.y >= 0 and a.y + a.height <= made.height
            for b in boxes[number + 1 :]:
                apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
                assert apart, (a.name, b.name)
        for card in cards:
            assert len(card.guests) == 8
            for guest in card.guests:
                assert card.x <= guest.x and guest.x + guest.width <= card.x + card.width
                assert card.y <= guest.y and guest.y + guest.height <= card.y + card.height


def test_two_hundred_nodes_are_less_than_three_megabytes(tmp_path):
    variables = large(tmp_path, 200, 2)
    html = page(build(variables, verified(NAME, variables)))
    assert len(html) < 3_000_000


def test_the_time_grows_with_the_number_of_nodes_only(tmp_path):
    def seconds(hypervisors: int) -> float:
        variables = large(tmp_path, hypervisors, 1)
        document = verified(NAME, variables)
        best = []
        for _again in range(3):
            start = time.process_time()
            page(build(variables, document))
            best.append(time.process_time() - start)
        return min(best)

    seconds(15)
    # A quadratic one would take 16 times as long.
    assert seconds(120) < 8 * seconds(30)


def test_stages_are_added_once_to_a_report_that_was_written(tmp_path, variables):
    document = verified(NAME, variables)
    add_stages(tmp_path, "site.yml", [("BGP", 1.25)])
    assert list(tmp_path.iterdir()) == []
    write(tmp_path, variables, document, None)
    assert PLACE in (tmp_path / "report.html").read_text()
    for seconds in (1.25, 99):
        add_stages(tmp_path, "site.yml", [(f"BGP {NASTY}", seconds)])
    html, words = ((tmp_path / name).read_text() for name in ("report.html", "report.md"))
    assert "<td>1.2 s</td>" in html
    assert "99" not in re.search(r'class="stages".*?</table>', html, re.DOTALL)[0]
    assert "| 1.2 s |" in words
    assert "<img" not in html + words
    ElementTree.parse(tmp_path / "report.xml")


def test_the_drawing_alone_is_the_same_for_the_same_input(variables):
    document = json.loads(text(verified(NAME, variables)))
    assert graphs(variables, document) == graphs(variables, document)
    assert set(graphs(variables, document)) == {"graph.svg", "graph.mmd"}


def test_drills_are_in_every_file_and_only_exceeded_budgets_fail(rehearsed):
    assert [(drill.name, drill.state) for drill in rehearsed.drills] == [
        ("cut_uplink", "failed"),
        ("reload", "passed"),
        ("lose_fabric", "unverified"),
    ]
    cut = rehearsed.drills[0]
    assert (cut.median_ms, cut.worst_ms, cut.lost, cut.sent) == (2020, 2660, 510, 8000)
    cells = ["cut_uplink", cut.title, "5", "510 of 8,000", "2,020 ms", "2,660 ms", "2,000 ms", "**exceeded**"]
    assert f"| {' | '.join(cells)} |" in markdown(rehearsed).splitlines()
    root = ElementTree.fromstring(junit(rehearsed))
    assert (root.get("tests"), root.get("failures")) == ("349", "1")
    suite = root.find(".//testsuite[@name='drills']")
    assert [case.get("classname") for case in suite] == [f"{NAME}.drills.{drill.name}" for drill in rehearsed.drills]
    assert suite.find(".//failure").text == (
        "seen: 510 of 8,000 packets lost in 5 runs, longest gap 2,020 ms (median), 2,660 ms (worst)\n"
        "right: no gap longer than 2,000 ms"
    )
    assert "2,660 ms (worst)" in re.sub(r"<script.*?</script>", "", page(rehearsed), flags=re.DOTALL)


def test_a_drill_after_which_nothing_is_lost_is_drawn_without_gaps(variables):
    made = plot(build(variables, verified(NAME, variables), None, drills()).drills[1])
    assert [row.bars for row in made.rows] == [[]] * 4
    assert [lane.broken for row in made.rows for lane in row.lanes] == [0] * 4


@pytest.mark.parametrize("last", [1, 99, 100, 1001, 59_999, 10**9 - 1])
def test_the_axis_of_a_plot_has_few_round_numbers_and_everything_is_inside(variables, last):
    result = drilled("a", [[(-2, last, 1)]], bfd_ms=None)
    for run in result["runs"]:
        run["ended_ms"], run["restored_ms"] = last, last // 2
    made = plot(build(variables, verified(NAME, variables), None, [result]).drills[0])
    assert 1 <= len(made.ticks) <= 11
    assert all(0 < x <= made.width for x, _label in made.ticks)
    [bar] = made.rows[0].bars
    assert bar.x > 0 and bar.x + bar.width <= made.width


def test_of_many_runs_the_worst_are_drawn(variables):
    result = drilled("a", [[(0, 20 * number, 1)] for number in range(1, 41)])
    made = plot(build(variables, verified(NAME, variables), None, [result]).drills[0])
    assert (made.drawn, len(made.rows[0].lanes)) == (10, 10)
    assert made.rows[0].bars[0].title.startswith("run 31: 1 lost in 620 ms")


def test_drills_that_cannot_be_shown_are_mentioned(variables):
    report = build(variables, verified(NAME, variables), None, f"drills.json is broken {NASTY}")
    for written in (page(report), markdown(report)):
        assert "Drills are not shown: drills.json is broken" in written.replace("drills&#46;json", "drills.json")
        assert "<script>alert(1)" not in written
