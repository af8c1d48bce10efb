#!/bin/bash
# Sourced by run.sh of every recipe on MUSDB18-HQ, which sets `here`, its folder: model and names
# follow from that. Started again with the same --tag, a run goes on where it was.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 label and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=../data/musdb18hq
labels_dir=""    # pitch labels that stage 1 makes; as in local/conf.yml if empty
overlay=""       # files of local/ over conf.yml: small, debug, or your own
eval_options="--native --museval"  # for eval.py
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir labels_dir overlay eval_options id python_path"
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# paths given by the user are relative to where he is, the defaults to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
if [[ -n "$labels_dir" ]]; then
  if [[ "$labels_dir" != /* ]]; then labels_dir=$started_in/$labels_dir; fi
  conf_options+=(--labels_dir "$labels_dir")
fi
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=musdb18/$name
dataset_dir=$data_dir

if [[ $stage -le 0 ]]; then
  for side in train test; do
    if ! compgen -G "$dataset_dir/$side/*/vocals.wav" > /dev/null; then
      cat >&2 <<MESSAGE
Stage 0: there is no MUSDB18-HQ in $dataset_dir (no $side/<track>/vocals.wav).
Get musdb18hq.zip (WAV, 23 GB, for non-commercial research) from
https://doi.org/10.5281/zenodo.3338373, unzip it and give the folder as --data_dir; it must hold
  train/<track>/{mixture,vocals,drums,bass,other}.wav   100 tracks
  test/<track>/{mixture,vocals,drums,bass,other}.wav     50 tracks
MESSAGE
      exit 1
    fi
  done
fi

. ../../_common/stages.sh
