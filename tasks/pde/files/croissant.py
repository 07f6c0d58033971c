"""A file's description in Croissant 1.0, the machine-readable data card of MLCommons (JSON-LD over schema.org).

Vocabulary and context: https://docs.mlcommons.org/croissant/docs/croissant-spec.html. One record is one sample. The
vocabulary of 1.0 has no array shapes: a field is `repeated`, and its description states the shape. It has no extraction
rule for HDF5 either, so a field's source is the file, and its name is the dataset's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.contract import BenchError
from tasks.pde.files import reading
from tasks.pde.files.layout import AXES, Layout

NAMESPACE = "http://mlcommons.org/croissant/"
REQUIRED = ("license", "citeAs", "creator", "url")  # what no file can tell
OPTIONAL = ("name", "description", "datePublished", "version", "keywords")
TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes",
    "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": NAMESPACE,
    "rai": f"{NAMESPACE}RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}


def _datasets(layout: Layout) -> list[tuple[str, str, tuple[int, ...]]]:
    """(record set, dataset, shape of one record) of everything in the file."""
    field = (layout.frames, *layout.shape)
    axes = [*zip(AXES, layout.shape, strict=False)]
    if layout.family == "seeds":
        inner = [("grid/" + axis, (length,)) for axis, length in (*axes, ("t", layout.times))]
        return [("samples", "data", (*field, len(layout.names))), *(("samples", *part) for part in inner)]
    if layout.family not in (
        "scalar",
        "darcy",
        "cfd",
    ):  # parts of these hold several channels: a channel is a field here
        return [("samples", name, field) for name in layout.names] + [
            ("samples", name, layout.shape) for name in layout.constants
        ]
    names = layout.names if layout.family == "cfd" else ("tensor",)
    parts: list[tuple[str, str, tuple[int, ...]]] = [("samples", name, field) for name in names]
    parts += [("samples", name, layout.shape) for name in layout.constants]
    times = [] if layout.family == "darcy" else [("t", layout.times)]
    return parts + [("grid", f"{axis}-coordinate", (length,)) for axis, length in (*axes, *times)]


def _field(group: str, name: str, shape: tuple[int, ...], file: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{group}/{name}",
        "name": name,
        "description": f"HDF5 dataset {name!r}: float32, shape {' x '.join(map(str, shape))}",
        "dataType": "sc:Float",
        "repeated": True,
        "source": {"fileObject": {"@id": file}, "extract": {"fileProperty": "content"}},
    }


def croissant(path: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """The description of `path`, ready for `json.dumps`.

    about: license (URL or SPDX name), citeAs, creator (an organisation's name) and url, which must be there; name,
    description, datePublished (ISO 8601; else the file's date), version and keywords, which may. Raises BenchError if one is
    missing or unknown, and like `reading.info`.
    """
    missing = [key for key in REQUIRED if not about.get(key)]
    unknown = sorted(set(about) - {*REQUIRED, *OPTIONAL})
    if missing or unknown:
        what = " and ".join(
            f"{word} {', '.join(keys)}" for word, keys in (("lacks", missing), ("has unknown", unknown)) if keys
        )
        raise BenchError(f"{path}: its description {what}; it takes {', '.join((*REQUIRED, *OPTIONAL))}")
    layout = reading.info(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    grid = " x ".join(map(str, layout.shape))
    parameters = ", ".join(f"{name} = {value:g}" for name, value in layout.attributes.items())
    text = f"{layout.samples} trajectories of {', '.join(layout.names)}, {layout.frames} frames on a grid of {grid}"
    groups: dict[str, list[dict[str, Any]]] = {}
    for group, name, shape in _datasets(layout):
        groups.setdefault(group, []).append(_field(group, name, shape, path.name))
    purposes = {"samples": f"{layout.samples} samples, one a record", "grid": "coordinates, the same for all samples"}
    card = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": f"{NAMESPACE}1.0",
        "name": path.stem,
        "description": f"{text} ({parameters})" if parameters else text,
        "datePublished": datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
        "version": "1.0.0",
        **about,
        "creator": {"@type": "sc:Organization", "name": about["creator"]},
        "variableMeasured": [
            {"@type": "sc:PropertyValue", "name": name, "value": value} for name, value in layout.attributes.items()
        ],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path.name,
                "name": path.name,
                "contentUrl": path.name,
                "contentSize": f"{layout.bytes} B",
                "encodingFormat": "application/zip" if layout.family == "neuraloperator" else "application/x-hdf5",
                "sha256": digest,
            }
        ],
        "recordSet": [
            {"@type": "cr:RecordSet", "@id": group, "name": group, "description": purposes[group], "field": fields}
            for group, fields in groups.items()
        ],
    }
    return card
