#!/bin/bash
# JointXUMX on MIR-1K. Started again with the same --tag, training goes on from its last checkpoint.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 prepare and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_jointxumx_<tag>; a random one if empty
data_dir=data/MIR-1K
overlay=""       # files of local/ over conf.yml: debug, or your own
eval_options=""  # for eval.py: "--museval", "--control torchcrepe_separated"
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir overlay eval_options id python_path"
started_in=$PWD
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../_common/parse_options.sh"
# a path given by the user is relative to where he is, the default to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
cd "$here"
model=jointxumx
recipe_name=mir1k/JointXUMX
dataset_dir=$data_dir

. ../stage0.sh
. ../../_common/stages.sh
