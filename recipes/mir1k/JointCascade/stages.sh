#!/bin/bash
# Both stages of training and their controls, equally many steps in each stage:
#   ./stages.sh --data_dir /where/it/is/MIR-1K && python local/rows_table.py
# Options go to run.sh, and to the teacher that makes labels. Interrupted, it goes on where it was.
# `only` in the environment picks runs, `seeds` how often, `cells` other presets for the two stages:
#   only="cascade_0 labels_0 filtered_0 cascade@dttnet_cnn_0"

set -e
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started_in=$PWD
python=python
data_dir=data/MIR-1K
overlay=""
given=()  # options but --overlay, which is laid over that of a run
while [[ $# -gt 0 ]]; do
  if [[ $# -lt 2 || $1 != --* ]]; then
    echo "stages.sh: options are --name value; received '$1'." >&2
    exit 2
  fi
  case "$1" in
    --overlay) overlay=,$2 ;;
    --python_path) python=$2; given+=("$1" "$2") ;;
    --data_dir) data_dir=$2; given+=("$1" "$2") ;;
    *) given+=("$1" "$2") ;;
  esac
  shift 2
done
case "$python" in  # a path is relative to where the user is; a plain name is looked up
  /*) ;;
  */*) python=$PWD/$python ;;
esac
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi

stage_1="cascade shared pipeline detached sources_first pitch_first dwa focal dwhs"
stage_2="longer masked unfiltered filtered filtered_dwhs mildlabels mild"
runs=""
for seed in ${seeds:-0 1 2}; do
  for name in cascade labels $stage_2 ${stage_1#cascade}; do runs+=" ${name}_$seed"; done
done
for cell in ${cells:-dttnet_cnn xumx_djcm dttnet_djcm}; do
  for name in cascade labels masked filtered detached; do runs+=" $name@${cell}_0"; done
done

declare -A rows=(
  [cascade]=stage1
  [shared]=stage1,shared
  [pipeline]=stage1,pipeline
  [detached]=stage1,detached
  [sources_first]=stage1,sources_first
  [pitch_first]=stage1,pitch_first
  [dwa]=stage1,dwa
  [focal]=stage1,focal
  [dwhs]=stage1,dwhs
  [longer]=stage2,stage1  # as many steps more on the clips with both labels
  [masked]=stage2
  [unfiltered]=stage2,unfiltered
  [filtered]=stage2
  [filtered_dwhs]=stage2,dwhs
  [mild]=stage2  # with labels of less precision, and more of them
)
for run in ${only:-$runs}; do
  name=${run%_*}  # filtered, or filtered@dttnet_cnn
  seed=${run##*_}
  cell=${name#"${name%%@*}"}  # @dttnet_cnn
  name=${name%%@*}
  if [[ $name != *labels && -z "${rows[$name]}" || ! $seed =~ ^[0-9]+$ ]]; then
    echo "stages.sh: there is no run '$run': choose from$runs." >&2
    exit 2
  fi
  exp_dir=exp/train_jointcascade_$run
  teacher=exp/train_jointcascade_cascade${cell}_$seed/best_model.pth
  rules=()
  labels=exp/labels${cell}_$seed
  if [[ $name == mild* ]]; then
    rules=(--rule precision=0.85)
    labels=exp/mildlabels${cell}_$seed
  fi
  preset=()
  if [[ -n $cell ]]; then preset=(--preset "${cell#@}"); fi
  if [[ $name == *labels ]]; then
    echo "pseudo labels by $teacher"
    conf=()  # keys of the configuration: what is for run.sh alone goes
    for ((i = 0; i < ${#given[@]}; i += 2)); do
      case "${given[i]}" in
        --data_dir | --python_path | --eval_options | --id) ;;
        *) conf+=("${given[@]:i:2}") ;;
      esac
    done
    (cd "$here" && "$python" -m asteroid_joint.engine.pseudo "$teacher" --recipe . \
      "${rules[@]}" --overlay "stage2$overlay" --data_dir "$data_dir" \
      --pseudo_dir "$labels" "${preset[@]}" "${conf[@]}")
    continue
  fi
  if [[ -f "$here/$exp_dir/final_metrics.json" ]]; then
    echo "$run is done"
    continue
  fi
  options=(--stage 2 --tag "$run" --seed "$seed" --overlay "${rows[$name]}$overlay")
  if [[ ${rows[$name]} == stage2* ]]; then options+=(--init_from "$teacher"); fi
  case "$name" in
    unfiltered | filtered* | mild) options+=(--pseudo_dir "$labels" --pseudo_teacher "$teacher") ;;
  esac
  (cd "$started_in" && "$here/run.sh" "${options[@]}" "${preset[@]}" "${given[@]}")
done
