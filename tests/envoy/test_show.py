from __future__ import annotations

import json

import yaml

from meshd.envoy import assignments, render
from meshd.envoy.show import to_json, to_yaml
from meshd.memo import Memo
from meshd.plan import ProxyPlan
from tests.envoy.plans import ANSWERS


def test_yaml_and_json_show_the_same_in_envoys_words(everything: ProxyPlan):
    memo = Memo()
    rendered, endpoints = render(everything, memo), assignments(everything, ANSWERS, memo)

    shown = yaml.safe_load(to_yaml(rendered, endpoints))

    assert shown == json.loads(to_json(rendered, endpoints))
    assert list(shown) == ["proxy", "clusters", "endpoints", "listeners", "routes", "secrets"]
    assert list(shown["clusters"][0])[:3] == ["name", "type", "eds_cluster_config"]


def test_what_is_packed_is_shown_unpacked(everything: ProxyPlan):
    memo = Memo()

    text = to_json(render(everything, memo), assignments(everything, ANSWERS, memo))

    assert '"value": "C' not in text.replace('"value": "CONNECT is', "")
    assert "stream_idle_timeout" in text
    assert "tls_minimum_protocol_version" in text
