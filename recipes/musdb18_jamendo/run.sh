#!/bin/bash
# Sourced by run.sh of every recipe on MUSDB18-HQ and Jamendo, which sets `here`, its folder: model
# and names follow from that. Started again with the same --tag, a run goes on where it was.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=../data/musdb18hq
jamendo_dir=../data/jamendo
overlay=""       # files of local/ over conf.yml: svs, svd, or svs,extra_nonvocal
eval_options=""  # for eval.py: "--set detection", "--museval"
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir jamendo_dir overlay eval_options id python_path"
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# paths given by the user are relative to where he is, the defaults to the recipe
if [[ -d "$started_in/$data_dir" ]]; then data_dir=$started_in/$data_dir; fi
if [[ -d "$started_in/$jamendo_dir" ]]; then jamendo_dir=$started_in/$jamendo_dir; fi
conf_options+=(--jamendo_dir "$jamendo_dir")
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=musdb18_jamendo/$name
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
  if [[ -z $(find "$jamendo_dir" -name '*.lab' -print -quit 2> /dev/null) ]]; then
    cat >&2 <<MESSAGE
Stage 0: there is no Jamendo in $jamendo_dir (no .lab file).
Get the songs and their annotations (93 songs under Creative Commons licences) from
http://www.mathieuramona.com/wp/data/jamendo/, unpack them and give the folder as --jamendo_dir; it
must hold
  train/, valid/, test/   61, 16 and 16 songs, .ogg and .mp3
  jamendo_lab/*.lab       when somebody sings, a file per song
MESSAGE
    exit 1
  fi
fi

. ../../_common/stages.sh
