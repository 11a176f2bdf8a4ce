"""Settings as people write them in YAML: names stay text, whatever else they could mean."""

from __future__ import annotations

from typing import Any

import yaml

NAMES = frozenset({"classes"})
"""Fields whose lists and keys are names."""
TEXTS = frozenset({"name", "title", "paper", "root", "like"})
"""Fields that are text."""
_STR = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"


def read_yaml(text: str, field: str = "") -> Any:
    """The value of a YAML text.

    YAML reads `off`, `no`, `null`, `1e3` and `2024-01-01` as other things than words. Names of
    classes and fields that hold text stay as they are written.

    Args:
        field: the field that the value belongs to, "" for a whole file.

    Raises:
        yaml.YAMLError: no YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _keep_names(node, field.rpartition(".")[2], set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _keep_names(node: yaml.Node, field: str, seen: set[int]) -> None:
    """Makes text of the scalars below `node` that are names."""
    if field in TEXTS and isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        node.tag = _STR
    elif field in NAMES and isinstance(node, yaml.SequenceNode):
        for name in node.value:
            _as_text(name)
    elif isinstance(node, yaml.MappingNode) and id(node) not in seen:  # a node may hold itself
        seen.add(id(node))
        for key, value in node.value:
            if field in NAMES:
                _as_text(key)
            elif isinstance(key, yaml.ScalarNode):
                _keep_names(value, key.value, seen)


def _as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode):
        node.tag = _STR
