"""Folders of programs: named by all that these depend on, published whole, checked when read."""

from __future__ import annotations

import json
from pathlib import Path

from search.errors import RecordingError
from search.scenario.compiled.program import FORMAT_VERSION, PROGRAM_FILE
from search.scenario.compiled.source import Source, all_values
from search.scenario.hashing import hash_file, hash_parts
from search.system import files
from search.system.seal import Seal

CHECKSUM_FILE = "checksums.json"


def key_of(source: Source, fingerprint: str) -> str:
    """Return the name of a folder of programs: a hash of all that they depend on.

    The values that a parameter may have count when they are few: templates that look at it
    were recorded at just those. So does the code here: a program's tables are named after
    what it finds.

    Args:
        source: What they are compiled from.
        fingerprint: Of the scenario, or of the part of it that dbt sends.
    """
    plan = source.factory.plan
    binds = [vars(bind) for bind in (*plan.var_binds, *plan.table_binds)]
    few = {name: all_values(parameter) for name, parameter in source.parameters.items()}
    code = [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
    parts = [fingerprint, json.dumps(binds), json.dumps(few), *code]
    return hash_parts([f"program format {FORMAT_VERSION}", *parts])[:16]


def check_content(folder: Path, seal: Seal) -> None:
    """Refuse a program whose files are not those that this user published.

    Args:
        folder: Of the program.
        seal: What must be on it.

    Raises:
        RecordingError: If a file is missing, has another content, or the seal is not ours.
    """
    try:
        document = json.loads((folder / CHECKSUM_FILE).read_text(encoding="utf-8"))
        expected = document["files"]
        text = json.dumps(expected, sort_keys=True)
        if not seal.is_on(document["seal"], folder.name, text):
            raise RecordingError(f"the program in {folder} was not made with this user's key")
        for name, checksum in expected.items():
            if hash_file(folder / name) != checksum:
                raise RecordingError(f"{folder / name} is damaged")
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise RecordingError(f"the program in {folder} is not whole: {error}") from error


def publish(content: Path, folder: Path, seal: Seal) -> None:
    """Put a folder's content in its place, sealed and with its checksums; what is there stays."""
    checksums = {file.name: hash_file(file) for file in sorted(content.iterdir())}
    mark = seal.of(folder.name, json.dumps(checksums, sort_keys=True))
    document = {"files": checksums, "seal": mark}
    (content / CHECKSUM_FILE).write_text(json.dumps(document), encoding="utf-8")
    # Another process may have finished the same program first.
    files.publish_folder(content, folder, lambda there: (there / PROGRAM_FILE).exists())
