"""Settings as people write them in YAML: names stay text, and numbers are what they look like."""

from __future__ import annotations

import re
from typing import Any

import yaml

NAMES = frozenset({"classes"})
"""Fields whose lists and keys are names."""
TEXTS = frozenset({"name", "title", "paper", "root", "like", "weights", "sha256"})
"""Fields that are text."""
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {
    "tag:yaml.org,2002:int": r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "tag:yaml.org,2002:float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
"""Whole and other numbers of YAML 1.2's core schema (yaml.org/spec/1.2.2, section 10.3.2)."""


class _Loader(yaml.SafeLoader):
    """PyYAML's, but for numbers: by YAML 1.1 010 is 8, 1:30 is 90, and 1e-3 is a word."""


class _Dumper(yaml.SafeDumper):
    """Puts into quotes the words that `_Loader` would take for numbers, and odd line breaks."""

    def represent_text(self, text: str) -> yaml.Node:
        """Text; YAML folds Unicode's own line breaks into spaces unless they are escaped."""
        style = '"' if {*text} & {"\x85", "\u2028", "\u2029"} else None
        return self.represent_scalar(_STR, text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


for _kind in (_Loader, _Dumper):
    _kind.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in _NUMBERS]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for _tag, _pattern in _NUMBERS.items():
        _kind.add_implicit_resolver(_tag, re.compile(f"(?:{_pattern})$"), [*"-+.0123456789"])


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


class _WordsLoader(_Loader):
    """Only true and false are truth values, as in YAML 1.2; off, on, no and yes are words."""


_BOOL = "tag:yaml.org,2002:bool"
_WordsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _BOOL]
    for first, known in _Loader.yaml_implicit_resolvers.items()
}
_WordsLoader.add_implicit_resolver(
    _BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)


def read_yaml(text: str, field: str = "", *, words: bool = False) -> Any:
    """The value of a YAML text.

    YAML reads `off`, `no`, `null`, `1e3` and `2024-01-01` as other things than words. Names of
    classes and fields that hold text stay as they are written.

    Args:
        field: the field that the value belongs to, "" for a whole file.
        words: keep off, on, no and yes as words everywhere.

    Raises:
        yaml.YAMLError: no YAML, or a field that is given twice.
    """
    loader = (_WordsLoader if words else _Loader)(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _keep_names(node, field.rpartition(".")[2], set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def write_yaml(value: Any, **style: Any) -> str:
    """Plain data as YAML that `read_yaml` reads back, in the order given.

    Args:
        style: other arguments of `yaml.dump`.
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style)


def _keep_names(node: yaml.Node, field: str, seen: set[int]) -> None:
    """Makes text of the scalars below `node` that are names, and refuses a key given twice."""
    if field in TEXTS and isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        node.tag = _STR
    elif field in NAMES and isinstance(node, yaml.SequenceNode):
        for name in node.value:
            _as_text(name)
    elif isinstance(node, yaml.MappingNode) and id(node) not in seen:  # a node may hold itself
        seen.add(id(node))
        _check_keys(node)
        for key, value in node.value:
            if field in NAMES:
                _as_text(key)
            elif isinstance(key, yaml.ScalarNode):
                _keep_names(value, key.value, seen)


def _check_keys(node: yaml.MappingNode) -> None:
    """Of a key that is given twice, YAML libraries keep the last value without a word."""
    given: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        if key.value in given:
            raise yaml.YAMLError(f"{key.value!r} is given twice, line {key.start_mark.line + 1}")
        given.add(key.value)


def _as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode):
        node.tag = _STR
