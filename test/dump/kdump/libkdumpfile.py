"""Reads pages of a dump with libkdumpfile, for libkdumpfile.test.ts: FILE, then physical addresses in hexadecimal on standard input.

Prints a line each: the SHA-256 of 4096 bytes there, or - where it has none.
"""

import hashlib
import sys

import kdumpfile

dump = kdumpfile.kdumpfile(sys.argv[1])
for line in sys.stdin:
    try:
        page = dump.read(kdumpfile.KDUMP_MACHPHYSADDR, int(line, 16), 4096)
        print(hashlib.sha256(page).hexdigest())
    except Exception as error:  # each kind of absence has a class of its own
        print("-" if "data" in type(error).__name__.lower() else type(error).__name__)
