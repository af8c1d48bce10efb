#!/bin/bash
# The paper's claims: joint training, its two controls and its first approach, three seeds of each,
# equally many steps. Options go to run.sh:
#   ./claims.sh --data_dir /where/it/is/MIR-1K && python local/claims_table.py
# Interrupted, it goes on where it was. `only` in the environment picks runs: only="joint_0 svs_0".

set -e
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started_in=$PWD
python=python
for ((i = 1; i <= $#; i++)); do
  next=$((i + 1))
  case "${!i}" in
    --python_path) python=${!next} ;;
    --python_path=*) python=${!i#*=} ;;
  esac
done
case "$python" in  # a path is relative to where the user is; a plain name is looked up
  /*) ;;
  */*) python=$PWD/$python ;;
esac
runs="joint_0 svs_0 svd_0 joint_1 svs_1 svd_1 joint_2 svs_2 svd_2 extra_0 silence_0"
runs="$runs joint3_0 svs3_0 svd3_0"  # one seed with three times the steps

declare -A options=(
  [joint]=""
  [svs]="--overlay svs"
  [svd]="--overlay svd"
  [joint3]="--epochs 30"
  [svs3]="--overlay svs --epochs 30"
  [svd3]="--overlay svd --epochs 30"
  [extra]="--overlay svs,extra_nonvocal"  # the first approach
  [silence]="--overlay svs --silence 0.1"  # what of it is the silence alone
)
for run in ${only:-$runs}; do
  name=${run%_*}
  seed=${run#*_}
  if [[ -z "${options[$name]+known}" || ! $seed =~ ^[0-9]+$ ]]; then
    echo "claims.sh: there is no run '$run': choose from $runs." >&2
    exit 2
  fi
  if [[ -f "$here/exp/train_vocaldetectionunet_$run/done" ]]; then
    echo "$run is done"
    continue
  fi
  # shellcheck disable=SC2086  # options are several words
  (cd "$started_in" && "$here/run.sh" --stage 2 --tag "$run" --seed "$seed" ${options[$name]} "$@")
  if [[ $name == joint* ]]; then  # the second model that it keeps
    exp_dir=exp/train_vocaldetectionunet_$run
    (cd "$here" && "$python" eval.py --exp_dir "$exp_dir" \
      --model "$exp_dir/best_val_log_magnitude.pth")
  fi
  touch "$here/exp/train_vocaldetectionunet_$run/done"
done
