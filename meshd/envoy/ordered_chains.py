"""Chains that are tried as they are written -> Envoy's matcher of chains (spec 5.11).

`FilterChainMatch` would take the most specific; here an earlier rule wins over a narrower one that comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2 as inputs
from envoy.extensions.matching.input_matchers.ip.v3.ip_pb2 import Ip
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from xds.core.v3.extension_pb2 import TypedExtensionConfig
from xds.type.matcher.v3.matcher_pb2 import Matcher
from xds.type.matcher.v3.string_pb2 import StringMatcher

from meshd.envoy.chain_matches import cidr
from meshd.envoy.wire import packed
from meshd.plan import ChainMatch

_Predicate = Matcher.MatcherList.Predicate
_Single = Matcher.MatcherList.Predicate.SinglePredicate
_Several = Matcher.MatcherList.Predicate.PredicateList
_Rule = Matcher.MatcherList.FieldMatcher


def matcher(chains: Iterable[tuple[ChainMatch, FilterChain]]) -> Matcher:
    """Each chain with its conditions, of which there is at least one; what fits none is the default chain's."""
    rules = [_Rule(predicate=_all(list(_conditions(match))), on_match=take(chain.name)) for match, chain in chains]
    return Matcher(matcher_list=Matcher.MatcherList(matchers=rules))


def take(chain: str) -> Matcher.OnMatch:
    return Matcher.OnMatch(action=TypedExtensionConfig(name=chain, typed_config=packed(StringValue(value=chain))))


def _conditions(match: ChainMatch) -> Iterator[Matcher.MatcherList.Predicate]:
    """The more telling first: Envoy stops at the first that does not hold."""
    if match.destination_port is not None:
        yield _text(inputs.DestinationPortInput(), StringMatcher(exact=str(match.destination_port)))
    if match.prefix_ranges:
        yield _within(inputs.DestinationIPInput(), match.prefix_ranges)
    if match.source_prefix_ranges:
        yield _within(inputs.SourceIPInput(), match.source_prefix_ranges)
    if match.transport:
        yield _text(inputs.TransportProtocolInput(), StringMatcher(exact=match.transport))
    if match.server_names:
        yield _any([_text(inputs.ServerNameInput(), _name(each)) for each in match.server_names])
    if match.alpn:
        # Envoy hands over the whole list, each in single quotes.
        offers = [StringMatcher(contains=f"'{each}'") for each in match.alpn]
        yield _any([_text(inputs.ApplicationProtocolInput(), each) for each in offers])


def _name(name: str) -> StringMatcher:
    return StringMatcher(suffix=name.removeprefix("*")) if name.startswith("*.") else StringMatcher(exact=name)


def _within(what: Message, ranges: tuple[str, ...]) -> Matcher.MatcherList.Predicate:
    known = Ip(cidr_ranges=[cidr(each) for each in ranges], stat_prefix="ordered")
    matcher = TypedExtensionConfig(name="envoy.matching.matchers.ip", typed_config=packed(known))
    return _Predicate(single_predicate=_Single(input=_input(what), custom_match=matcher))


def _text(what: Message, expected: StringMatcher) -> Matcher.MatcherList.Predicate:
    return _Predicate(single_predicate=_Single(input=_input(what), value_match=expected))


def _input(what: Message) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=what.DESCRIPTOR.name, typed_config=packed(what))


def _all(conditions: list[Matcher.MatcherList.Predicate]) -> Matcher.MatcherList.Predicate:
    """Envoy wants two at least in a list."""
    return conditions[0] if len(conditions) == 1 else _Predicate(and_matcher=_Several(predicate=conditions))


def _any(conditions: list[Matcher.MatcherList.Predicate]) -> Matcher.MatcherList.Predicate:
    return conditions[0] if len(conditions) == 1 else _Predicate(or_matcher=_Several(predicate=conditions))
