#!/bin/sh
# Timed training on a machine with a GPU, from the root of the repository, without installing it:
#     sh recipes/gpu.sh check CONFIG FOLDER            does the GPU compute the same, and how fast
#     sh recipes/gpu.sh train CONFIG FOLDER MINUTES …  train; more arguments go to `ui2c train`
# What is to be kept (weights, state, log) is written to FOLDER as well as to the run's own.
set -eu
command=$1 config=$2 folder=$3
shift 3
export PYTHONPATH="$PWD/python" PYTHONUNBUFFERED=1
# Compiled kernels are kept for the next call on the same machine.
export TORCHINDUCTOR_CACHE_DIR="${TORCHINDUCTOR_CACHE_DIR:-$PWD/runs/compiled}"
mkdir -p "$folder"
case $command in
check) python3 -m ui2c.train.device_check "$config" --output "$folder/check" "$@" ;;
train)
    minutes=$1
    shift
    python3 -m ui2c.train.timed "$config" --minutes "$minutes" --send "$folder" "$@"
    ;;
*)
    echo "gpu.sh: check or train, not $command" >&2
    exit 2
    ;;
esac
