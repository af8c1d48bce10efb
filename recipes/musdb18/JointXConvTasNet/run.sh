#!/bin/bash
# JointXConvTasNet on MUSDB18-HQ. Started again with the same --tag, it goes on where it was.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 label and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_jointxconvtasnet_<tag>; a random one if empty
data_dir=../data/musdb18hq
labels_dir=""    # pitch labels that stage 1 makes; as in local/conf.yml if empty
overlay=""       # files of local/ over conf.yml: small, debug, or your own
eval_options="--native --museval"  # for eval.py
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir labels_dir overlay eval_options id python_path"
started_in=$PWD
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../_common/parse_options.sh"
# paths given by the user are relative to where he is, the defaults to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
if [[ -n "$labels_dir" ]]; then
  if [[ "$labels_dir" != /* ]]; then labels_dir=$started_in/$labels_dir; fi
  conf_options+=(--labels_dir "$labels_dir")
fi
cd "$here"
model=jointxconvtasnet
recipe_name=musdb18/JointXConvTasNet
dataset_dir=$data_dir

. ../stage0.sh
. ../../_common/stages.sh
