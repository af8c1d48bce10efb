#!/bin/bash
# The eight cells of {bridging, multi-domain loss, combination loss}, one after the other, each as long
# as the others; those with nothing and with everything with three seeds. Options go to run.sh:
#   ./ablation.sh --data_dir data/corpus --mir1k_dir data/MIR-1K
# Interrupted, it goes on where it was. `only` in the environment picks cells: only="c1_0 full_2".

set -e
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started_in=$PWD
cells="c1_0 full_0 c1_1 full_1 c1_2 full_2 c4_0 c5_0 c2_0 c6_0 c3_0 c7_0"

declare -A overlay=(
  [c1]=no_bridging,no_mdl,no_cl  # Open-Unmix: a network per stem
  [c2]=no_bridging,no_cl         # multi-domain loss
  [c3]=no_bridging,no_mdl        # combination loss
  [c4]=no_mdl,no_cl              # bridging
  [c5]=no_bridging               # both losses
  [c6]=no_cl                     # multi-domain loss, bridging
  [c7]=no_mdl                    # combination loss, bridging
  [full]=
)
for cell in ${only:-$cells}; do
  name=${cell%_*}
  seed=${cell#*_}
  if [[ -z "${overlay[$name]+known}" || ! $seed =~ ^[0-9]+$ ]]; then
    echo "ablation.sh: there is no cell '$cell': choose from $cells." >&2
    exit 2
  fi
  if [[ -f "$here/exp/train_jointxumx_$cell/final_metrics.json" ]]; then
    echo "$cell is done"
    continue
  fi
  (cd "$started_in" && "$here/run.sh" --stage 2 --tag "$cell" --overlay "${overlay[$name]}" \
    --seed "$seed" "$@")
done
