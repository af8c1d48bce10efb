#!/bin/bash
# Sourced by run.sh of every recipe on a made corpus, which sets `here`, its folder: model and names
# follow from that. Started again with the same --tag, training goes on from its last checkpoint.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml and _common/base.yml is one, too.
stage=0          # first stage: 0 make the corpus, 1 prepare and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=data/corpus  # another one is made only if --corpus says which
corpus=small     # ci (1 min of audio), small (16 min), medium (2 h)
corpus_seed=0
jobs=2           # processes of stage 0
mir1k_dir=data/MIR-1K  # for blends
overlay=""       # files of local/ over conf.yml: blend, or debug
eval_options="--native"  # for eval.py; without it, and with blends, at 16 kHz mono
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir corpus corpus_seed jobs mir1k_dir overlay eval_options"
run_options="$run_options id python_path"
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# a path given by the user is relative to where he is, the default to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
if [[ -d "$started_in/$mir1k_dir" ]]; then mir1k_dir=$started_in/$mir1k_dir; fi
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=corpus/$name
dataset_dir=$data_dir

if [[ $stage -le 0 && $stop_stage -ge 0 ]]; then
  if [[ $given_options == *" data_dir "* && $given_options != *" corpus "* &&
    ! -f "$dataset_dir/corpus.json" ]]; then
    echo "run.sh: there is no corpus in $data_dir: correct --data_dir, or add --corpus $corpus" \
      "to make one there." >&2
    exit 2
  fi
  echo "Stage 0: make the corpus $corpus in $dataset_dir"
  resume=""
  if [[ -f "$dataset_dir/corpus.json" ]]; then resume=--resume; fi
  mkdir -p "$(dirname "$dataset_dir")"
  # shellcheck disable=SC2086  # resume may be no word
  "$python_path" -m asteroid_joint.cli make-corpus "$dataset_dir" --preset "$corpus" \
    --seed "$corpus_seed" --jobs "$jobs" $resume
fi
conf_options+=(--mir1k_dir "$mir1k_dir")
if [[ ",$overlay," == *,blend,* ]] || grep -q "dataset: blend" local/conf.yml; then
  eval_options=${eval_options//--native/}  # its parts differ in rate
fi

. ../../_common/stages.sh
