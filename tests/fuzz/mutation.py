"""Mutations that keep the form: of protobuf messages, JSON, archives of arrays, and text.

Each is a function (content, random) -> content. What does not parse is changed byte by byte.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile

INTEGERS = (0, 1, -1, 2, 3, 7, 64, 255, 2**16, 2**28, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 65504.0, 1e9, 3.4e38, float("inf"), float("nan"))
TEXTS = ("", "x", "a\nb", "\x00", "\u202e", "'", '"', "../x", "é😀", "x" * 300)
WORDS = (b"{", b"}", b"[", b"]", b'"', b",", b"null", b"-1", b"1e999", b"9" * 30, b"\x00", b"\xff",
         b"Index CPU GPU ANE\n", b"NaN", b"...", b"|", b"\n", b" ")  # fmt: skip
DESCENT = 0.8  # how likely a walk goes on into a message
SHALLOW = 0.9  # how likely it does so near the top, where a change makes it another kind of file


def in_bytes(content, random):
    """Overwrite, insert, cut or repeat a few bytes."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 4))):
        at, length = random.randrange(len(data) + 1), random.choice((1, 1, 2, 4, 8, 64))
        change = random.randrange(5)
        if change == 0 and at < len(data):
            data[at] = random.randrange(256)
        elif change == 1:
            data[at:at] = random.choice(WORDS)
        elif change == 2:
            del data[at : at + length]
        elif change == 3:
            data[at:at] = data[at : at + length]
        else:
            data[at : at + length] = random.choice(WORDS)
    return bytes(data)


def in_message(message, random, others=()):
    """Change one to four fields of a protobuf message in place; `others` are of its type."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        other = random.choice(others) if others and random.random() < 0.3 else None
        _walk(message, other, random)


def _walk(message, other, random):
    for depth in itertools.count():
        present = [field for field, _ in message.ListFields()]
        every = message.DESCRIPTOR.fields
        kept = SHALLOW if depth else 0.98
        field = random.choice(present if present and random.random() < kept else every or [None])
        if field is None:
            return
        inner = _inner(message, field, random)
        if inner is None and depth < 2 and random.random() < SHALLOW:
            deeper = [f for f in present if _inner(message, f, random) is not None]
            field = random.choice(deeper or [field])
            inner = _inner(message, field, random)
        if inner is None or random.random() > (SHALLOW if depth < 2 else DESCENT):
            _change(message, field, other, random)
            return
        message = inner
        matching = other is not None and other.DESCRIPTOR.fields_by_name.get(field.name) is field
        other = _inner(other, field, random) if matching else None


def _inner(message, field, random):
    """Return a message inside of a field, if there is one."""
    if field.message_type is None:
        return None
    value = getattr(message, field.name)
    if not field.is_repeated:
        return value
    if field.message_type.GetOptions().map_entry:
        inside = field.message_type.fields_by_name["value"].message_type
        return value[random.choice(sorted(value))] if inside and value else None
    return random.choice(value) if value else None


def _change(message, field, other, random):
    if random.random() < 0.15:
        message.ClearField(field.name)
    elif other is not None and random.random() < 0.5:
        same = message.DESCRIPTOR is other.DESCRIPTOR
        message.MergeFrom(other) if same else message.ClearField(field.name)
    elif field.message_type is not None and field.message_type.GetOptions().map_entry:
        _change_map(getattr(message, field.name), field, random)
    elif field.is_repeated:
        _change_list(getattr(message, field.name), field, random)
    elif field.message_type is not None:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, _scalar(field, getattr(message, field.name), random))


def _change_map(table, field, random):
    key = _scalar(field.message_type.fields_by_name["key"], next(iter(table), ""), random)
    value = field.message_type.fields_by_name["value"]
    if table and random.random() < 0.3:
        del table[random.choice(sorted(table))]
    elif value.message_type is None:
        table[key] = _scalar(value, None, random)
    elif table and random.random() < 0.7:
        table[key].CopyFrom(table[random.choice(sorted(table))])
    else:
        table[key].SetInParent()


def _change_list(values, field, random):
    """Add, repeat, swap or remove elements, or change one."""
    change, at = random.randrange(5), random.randrange(len(values)) if len(values) else 0
    if change == 0 and len(values):
        del values[at : at + random.choice((1, 1, 2, len(values)))]
    elif change == 1 and len(values) > 1:
        kept = list(values)[::-1] if len(values) < 64 else list(values)[:3]
        del values[:]
        values.extend(kept)
    elif field.message_type is not None:
        values.append(values[at]) if len(values) else values.add()
    elif change == 2 and len(values):
        values.extend(list(values[at : at + 8]))
    elif change == 3 and len(values):
        values[at] = _scalar(field, values[at], random)
    else:
        values.append(_scalar(field, values[at] if len(values) else None, random))


def _scalar(field, old, random):
    """Return a value for a field; the old one is None where there is none."""
    kind = field.cpp_type
    if kind == field.CPPTYPE_BOOL:
        return random.random() < 0.5
    if kind == field.CPPTYPE_ENUM:
        return random.choice([*field.enum_type.values_by_number, 99, -1])
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return random.choice((*FLOATS, 2 * (old or 0), random.uniform(-4, 4)))
    if field.type == field.TYPE_BYTES:
        return in_bytes(old or b"", random)
    if kind == field.CPPTYPE_STRING:
        return random.choice((*TEXTS, f"{old}2", (old or "")[:-1]))
    return _within(field, random.choice((*INTEGERS, (old or 0) + 1, 2 * (old or 0), 5)))


def _within(field, number):
    bits = 32 if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_UINT32) else 64
    if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64):
        return number % 2**bits
    return (number + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def in_json(content, random):
    """Change one value, key or element of a JSON text, keeping it JSON."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return in_bytes(content, random)
    return json.dumps(_in_value(value, random)).encode()


def _in_value(value, random):
    """Return the value with something inside of it changed."""
    if isinstance(value, (dict, list)) and value and random.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = random.choice(keys)
        change = random.random()
        if change < 0.08:
            value.pop(key)
        elif change < 0.12 and isinstance(value, dict):
            value[random.choice((*TEXTS, "dtype", "strides", "runs"))] = value[key]
        elif change < 0.15 and isinstance(value, list):
            value.append(value[key])
        else:
            value[key] = _in_value(value[key], random)
        return value
    if isinstance(value, str) and value and random.random() < 0.5:
        return in_bytes(value.encode(errors="replace"), random).decode(errors="replace")
    if isinstance(value, int) and random.random() < 0.5:
        return value + random.choice((-1, 1))
    every = (*INTEGERS, *FLOATS, *TEXTS, None, True, [], {}, [value], {"": value}, 10**400)
    return random.choice(every)


def in_archive(content, random):
    """Change the content or name of a member of a zip, whose check sums stay right."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # whatever makes an archive unreadable
        return in_bytes(content, random)
    if not members or random.random() < 0.1:
        return in_bytes(content, random)
    at = random.randrange(len(members))
    name, member = members[at]
    if random.random() < 0.2:
        name = random.choice((*TEXTS, "ane::y.npy", "in::.npy", "y.npy", name + "y")) or "x"
    else:
        head = in_bytes(member[:128], random) if random.random() < 0.8 else member[:128]
        member = (head + member[128:])[: random.choice((None, None, len(member) // 2))]
    members[at] = (name, member)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, member in members:
            archive.writestr(zipfile.ZipInfo(name), member)
    return stream.getvalue()
