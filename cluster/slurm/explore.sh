#!/bin/bash
# Searches scenarios on a cluster: submits a job array, waits, submits again what was killed or is to be run again, and tells what was found.
#
#   explore.sh N OUT SCENARIO...
#
# N is the number of shards, OUT a folder that all nodes see. What it has of an earlier search of the same scenarios is not searched again.
# SBATCH_ARGS are further arguments for sbatch, ROUNDS is how often the array is submitted at most. The exit status is that of hugewalk explore.
set -u
shopt -s nullglob

if [ $# -lt 3 ]; then
  echo "explore.sh: expected N OUT SCENARIO..., got $# arguments" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
shards=$1
out=$2
shift 2
hugewalk=${HUGEWALK:-npx hugewalk}
mkdir -p "$out"

missing() {
  local files=("$out"/*.json)
  if [ ${#files[@]} -eq 0 ]; then echo "1-$shards"; else $hugewalk explore merge --missing "${files[@]}"; fi
}

for ((round = 1; round <= ${ROUNDS:-5}; round++)); do
  left=$(missing)
  # 1 says that shards are missing; anything else, that the files are not of one search.
  status=$?
  if [ "$status" -gt 1 ]; then exit "$status"; fi
  [ -z "$left" ] && break
  echo "explore.sh: round $round: shards $left of $shards" >&2
  # shellcheck disable=SC2086 # several arguments
  sbatch --wait --array="$left" --output="$out/%a.log" ${SBATCH_ARGS:-} "$here/explore.sbatch" "$shards" "$out" "$@" >&2
done

files=("$out"/*.json)
if [ ${#files[@]} -eq 0 ]; then
  echo "explore.sh: no shard has come to its end: see $out/*.log" >&2
  exit 1
fi
$hugewalk explore merge "${files[@]}"
