#!/bin/bash
# What the pitch head reads, over seeds, at a budget of six epochs with the preset `fast`:
#   ./heads.sh --data_dir /where/it/is/MIR-1K
# Options go to run.sh. Interrupted, it goes on where it was. `seeds` in the environment picks seeds.

set -e
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for seed in ${seeds:-0 1}; do
  for head in latent decoder magnitude; do
    overlay=fast
    if [[ $head != latent ]]; then overlay=fast,pitch_$head; fi
    "$here/run.sh" --stage 2 --tag "${head}_$seed" --overlay "$overlay" --epochs 6 --seed "$seed" "$@"
  done
done
