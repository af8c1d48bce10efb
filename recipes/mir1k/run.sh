#!/bin/bash
# Sourced by run.sh of every recipe on MIR-1K, which sets `here`, its folder: model and names follow
# from that. Started again with the same --tag, training goes on from its last checkpoint.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 prepare and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=data/MIR-1K
overlay=""       # files of local/ over conf.yml: full, or shared_bottom,debug
eval_options=""  # for eval.py: "--museval", "--control torchcrepe_separated"
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir overlay eval_options id python_path"
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# a path given by the user is relative to where he is, the default to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=mir1k/$name
dataset_dir=$data_dir

if [[ $stage -le 0 && ! -d "$dataset_dir/Wavfile" ]]; then
  cat >&2 <<MESSAGE
Stage 0: there is no MIR-1K in $dataset_dir.
The dataset is free for research and has to be fetched by hand (about 1 GB):
  1. see http://mirlab.org/dataset/public/ (MIR-1K.zip) or
     https://sites.google.com/site/unvoicedsoundseparation/mir-1k
  2. unzip it; the folder MIR-1K holds Wavfile, PitchLabel, vocal-nonvocalLabel, ...
  3. start again with --data_dir /where/it/is/MIR-1K
MESSAGE
  exit 1
fi

. ../../_common/stages.sh
