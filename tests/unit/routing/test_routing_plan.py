"""What the routing manager writes to the kernel and what it removes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing import plan
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.host import Action
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.model import Hop, Route, prefix

OURS = (83, 84)
PREFIXES = [prefix(text) for text in ("10.1.0.0/16", "10.2.0.0/16", "2001:db8:1::/48")]
ROUTES = st.builds(
    Route,
    prefix=st.sampled_from(PREFIXES),
    metric=st.sampled_from([0, 32, 4096]),
    protocol=st.sampled_from([3, 82, 83, 84]),
    hops=st.sampled_from([(Hop(None, 1),), (Hop(None, 2),), (Hop(None, 1), Hop(None, 2))]),
)


def unique(routes):
    """As in a kernel: one route of a protocol for each prefix and metric."""
    return list({(route.key, route.protocol): route for route in routes}.values())


TABLES = st.lists(ROUTES, max_size=8).map(unique)
WANTS = st.lists(ROUTES, max_size=6).map(
    lambda routes: list({route.key: route for route in routes if route.protocol in OURS}.values())
)


def carried_out(have, actions):
    """As the kernel does it: a write takes the place of the first route with its prefix and metric, whosever it is."""
    table = list(have)
    for action in actions:
        if action.verb == "write":
            places = [number for number, route in enumerate(table) if route.key == action.route.key]
            if places:
                table[places[0]] = action.route
            else:
                table.append(action.route)
        else:
            table.remove(action.route)
    return table


@given(WANTS, TABLES)
def test_the_plan_leads_to_what_is_wanted_and_then_there_is_none(want, have):
    first = plan.make(want, have)
    after = carried_out(have, first.actions)
    blocked = {ours.key for ours, _other in first.blocked}
    assert {route for route in after if route.protocol in OURS and route.key not in blocked} == {
        route for route in want if route.key not in blocked
    }
    assert not plan.make(want, after).actions


@given(WANTS, TABLES)
def test_routes_of_others_are_never_touched(want, have):
    after = carried_out(have, plan.make(want, have).actions)
    others = [route for route in have if route.protocol not in OURS]
    assert [route for route in after if route.protocol not in OURS] == others


@given(WANTS, TABLES)
def test_nothing_is_removed_that_may_not_be(want, have):
    actions = plan.make(want, have, may_remove=lambda route: False).actions
    wanted = {route.key for route in want}
    assert all(action.verb == "write" or action.route.key in wanted for action in actions)


def test_a_route_keeps_its_further_ways_while_gobgp_does_not_know_all():
    narrow = Route(PREFIXES[0], 4096, 83, (Hop(None, 1),))
    wide = Route(PREFIXES[0], 4096, 83, (Hop(None, 1), Hop(None, 2)))
    other = Route(PREFIXES[0], 4096, 83, (Hop(None, 3),))
    assert not plan.make([narrow], [wide], may_shrink=False).actions
    assert plan.make([narrow], [wide]).actions == [Action("write", narrow)]
    assert plan.make([other], [wide], may_shrink=False).actions == [Action("write", other)]
