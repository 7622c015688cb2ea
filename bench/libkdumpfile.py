"""Pages a second that libkdumpfile reads of a dump: python3 libkdumpfile.py FILE ROUNDS, with physical addresses in hexadecimal on stdin.

Status 1 where libkdumpfile cannot read the file, or lacks one of the pages.
"""
import sys
import time

try:
    import kdumpfile
except ImportError:
    sys.exit(1)

path, rounds = sys.argv[1], int(sys.argv[2])
addresses = [int(line, 16) for line in sys.stdin]
least = float("inf")
for _ in range(rounds):
    start = time.perf_counter()
    try:
        dump = kdumpfile.kdumpfile(path)
        for address in addresses:
            dump.read(kdumpfile.KDUMP_MACHPHYSADDR, address, 4096)
    except Exception:
        sys.exit(1)
    least = min(least, time.perf_counter() - start)
print(len(addresses) / least)
