"""The routes for programs as an OpenAPI document, by hand: Starlette's needs a YAML parser.

A test compares it with the routes that there are.
"""

from typing import Any

from ...version import __version__
from .uploads import Limits

STATES = ["arriving", "waiting", "working", "done", "failed"]
SONG = {"name": "song", "in": "path", "required": True, "schema": {"type": "string"}}
FILE = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
BYTES = {"schema": {"type": "string", "format": "binary"}}


def openapi(title: str, limits: Limits, with_token: bool) -> dict[str, Any]:
    """The document.

    Args:
        title: Name of the model.
        limits: Limits of the page.
        with_token: Whether the server needs a token.
    """
    schemes: dict[str, Any] = {
        "visitor": {
            "type": "apiKey",
            "in": "cookie",
            "name": "asteroid_joint_PORT",
            "description": "Set by GET /; a song is found by its visitor only.",
        }
    }
    needed: dict[str, list[str]] = {"visitor": []}
    if with_token:
        schemes["token"] = {"type": "http", "scheme": "bearer"}
        needed["token"] = []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"asteroid-joint demo, {title}",
            "version": __version__,
            "description": "Stems, pitch and notes of songs. First GET / for the visitor's cookie.",
        },
        "security": [needed],
        "paths": _paths(limits),
        "components": {
            "securitySchemes": schemes,
            "schemas": {
                "Song": _song(),
                "View": _view(),
                "Message": _object({"message": {"type": "string"}}),
            },
        },
    }


def _paths(limits: Limits) -> dict[str, Any]:
    song = _json("A song and how far it is", "Song")
    sent = {"202": song, **_refusals(403, 413)}
    upload = {
        "summary": f"Send a song, at most {limits.minutes:g} minutes and {limits.megabytes:g} MB",
        "parameters": [
            {
                "name": "X-File-Name",
                "in": "header",
                "description": "Its name, percent-encoded; it is shown, and never used as a path.",
                "schema": {"type": "string"},
            }
        ],
        "requestBody": {"required": True, "content": {"application/octet-stream": BYTES}},
        "responses": sent,
    }
    named = {"parameters": [SONG]}
    download = {"name": "download", "in": "query", "schema": {"type": "string"}}
    return {
        "/songs": {"post": upload},
        "/demo-song": {
            "post": {"summary": "Take the demo song", "responses": {**sent, **_refusals(404)}}
        },
        "/songs/{song}": {
            **named,
            "get": {"summary": "How far it is", "responses": {"200": song, **_refusals(404)}},
            "delete": {"summary": "Remove it", "responses": {"204": _plain("Removed")}},
        },
        "/songs/{song}/view": {
            **named,
            "get": {
                "summary": "Pitch, notes and waveforms for drawing",
                "responses": {"200": _json("Data of the plot", "View"), **_refusals(404)},
            },
        },
        "/songs/{song}/zip": {
            **named,
            "get": {
                "summary": "All files",
                "responses": {"200": _content("An archive", "application/zip", BYTES)}
                | _refusals(404),
            },
        },
        "/songs/{song}/files/{name}": {
            "parameters": [SONG, FILE],
            "get": {
                "summary": "A file, of those that the song's files and converted list",
                "parameters": [download],
                "responses": {"200": _content("The file", "application/octet-stream", BYTES)}
                | _refusals(404),
            },
        },
        "/leave": {
            "post": {
                "summary": "Remove songs, whose ids are the body, separated by spaces",
                "requestBody": {"content": {"text/plain": {"schema": {"type": "string"}}}},
                "responses": {"204": _plain("Removed")},
            }
        },
        "/openapi.json": {
            "get": {
                "summary": "This document",
                "responses": {"200": _content("OpenAPI", "application/json", {})},
            }
        },
    }


def _song() -> dict[str, Any]:
    text = {"type": "string"}
    file = _object({"name": text, "bytes": {"type": "integer"}})
    return _object(
        {
            "id": text,
            "name": text,
            "state": {"type": "string", "enum": STATES},
            "before": {"type": "integer", "description": "Songs that are processed before it"},
            "share": {"type": ["number", "null"], "description": "Progress from 0 to 1"},
            "message": {"type": "string", "description": "One sentence, or nothing"},
            "files": {"type": "array", "items": file},
            "converted": {
                "type": "array",
                "items": text,
                "description": "Further files, made when they are asked for",
            },
        }
    )


def _view() -> dict[str, Any]:
    number = {"type": "number"}
    numbers = {"type": "array", "items": number}
    of_note = ("Onset in seconds", "Offset in seconds", "MIDI pitch", "Confidence from 0 to 1")
    note = {
        "type": "array",
        "prefixItems": [{**number, "description": text} for text in of_note],
        "minItems": len(of_note),
        "description": "Read what you know: later versions may append more",
    }
    return _object(
        {
            "seconds": number,
            "picture": {"type": "object", "description": "Size of the spectrogram's pictures"},
            "pitch": {"type": ["object", "null"], "description": "F0 in cents, 0 where unvoiced"},
            "notes": {"type": "array", "items": note},
            "waves": {"type": "object", "additionalProperties": numbers},
            "range": {**numbers, "description": "Lowest and highest MIDI pitch to show"},
            "peak": {**number, "description": "Highest absolute sample of all stems"},
        }
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _plain(text: str) -> dict[str, Any]:
    return {"description": text}


def _content(text: str, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {kind: content}}


def _json(text: str, schema: str) -> dict[str, Any]:
    schema_of = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    return _content(text, "application/json", schema_of)


def _refusals(*statuses: int) -> dict[str, Any]:
    return {str(status): _json("Refused, in one sentence", "Message") for status in statuses}
