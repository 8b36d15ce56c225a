"""Reads OpenLineage events, one in each line of the files named, into the official client's own types.

What the client doesn't know, or finds wrong (a field, a type, a UUID, a time), ends it; so does an event that comes
out of the client differently from how it went in.
"""

import enum
import importlib
import json
import pkgutil
import sys
import types
import typing

import attr
import openlineage.client.generated as generated
from openlineage.client.generated.base import BaseFacet, RunEvent
from openlineage.client.serde import Serde

for module in pkgutil.iter_modules(generated.__path__):
    importlib.import_module(f"{generated.__name__}.{module.name}")


def facets(cls):
    return {c._get_schema(): c for c in [cls, *(s for c in cls.__subclasses__() for s in facets(c).values())]}


FACETS = facets(BaseFacet)


def read(kind, value):
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return read(next(a for a in arguments if a is not type(None)), value)
    if typing.get_origin(kind) is list:
        return [read(arguments[0], each) for each in value]
    if typing.get_origin(kind) is dict:
        return {key: read(arguments[1], each) for key, each in value.items()}
    if not isinstance(kind, type):
        return value
    if issubclass(kind, enum.Enum):
        return kind(value)
    if not attr.has(kind):
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value
    if issubclass(kind, BaseFacet):
        facet = FACETS[value["_schemaURL"]]
        if not issubclass(facet, kind):
            raise TypeError(f"{facet.__name__} stands where a {kind.__name__} belongs")
        kind = facet
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    given = {name: read(hints[name], each) for name, each in value.items()}
    return kind(**{name.lstrip("_"): each for name, each in given.items() if fields[name].init})


def bare(value):
    """Without what is empty, which the client leaves out or fills in."""
    if isinstance(value, dict):
        value = {key: bare(each) for key, each in value.items()}
        return {key: each for key, each in value.items() if each not in (None, {}, [])}
    return [bare(each) for each in value] if isinstance(value, list) else value


count = 0
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            again = json.loads(Serde.to_json(read(RunEvent, event)))
            if bare(again) != bare(event):
                sys.exit(f"{path}: it went in as\n{json.dumps(bare(event))}\nand came out as\n{json.dumps(bare(again))}")
            count += 1
print(count)
