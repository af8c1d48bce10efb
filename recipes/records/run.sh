#!/bin/bash
# Sourced by run.sh of every recipe on records, which sets `here`, its folder: model and names follow
# from that. Started again with the same --tag, training goes on from its last checkpoint.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml, ../base.yml and _common/base.yml is one, too.
stage=0          # first stage: 0 data, 1 prepare and check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=data    # folder of all sets
mir1k_dir=mir1k  # a set: a folder in data_dir, or a path; empty leaves the set out
corpus_dir=corpus
musdb7_dir=musdb7
eir_dir=eir
mt5_dir=mt5
csd_dir=csd
ssvd_dir=ssvd
music_dir=music
overlay=""       # files of local/ over conf.yml
eval_options=""  # for eval.py
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

sets="mir1k corpus musdb7 eir mt5 csd ssvd music"
run_options="stage stop_stage tag data_dir overlay eval_options id python_path"
for set in $sets; do run_options="$run_options ${set}_dir"; done
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# a path given by the user is relative to where he is, the default to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=records/$name
dataset_dir=$data_dir

missing=""
lacking=""
for set in $sets; do
  given=${set}_dir
  folder=${!given}
  conf_options+=("--$given" "$folder")
  case "$folder" in
    "") continue ;;
    /*) ;;
    *) folder=$data_dir/$folder ;;
  esac
  if [[ ! -d "$folder" ]]; then
    missing="$missing $folder"
    lacking=$given
  fi
done
if [[ $stage -le 0 && -n "$missing" ]]; then
  echo "Stage 0: there is no$missing: recipes/records/README.md says how to get each set; an empty \
folder leaves a set out, as in --$lacking ''." >&2
  exit 1
fi

. ../../_common/stages.sh
