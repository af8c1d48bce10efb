#!/bin/bash
# Sourced by run.sh of every recipe on MedleyDB and MUSDB18-HQ, which sets `here`, its folder: model
# and names follow from that. Started again with the same --tag, a run goes on where it was.

set -e
set -o pipefail

# Options, each as --name value; any key of local/conf.yml is one, too (--batch_size 4).
stage=0          # first stage: 0 data, 1 check, 2 train, 3 evaluate
stop_stage=3     # last stage
tag=""           # names exp/train_<model>_<tag>; a random one if empty
data_dir=../data/MedleyDB
musdb18_dir=../data/musdb18hq
mir_st500_dir=../data/MIR-ST500
overlay=""       # files of local/ over conf.yml: stage1, stage2, no_notes
eval_options="--native"  # for eval.py
id=""            # CUDA_VISIBLE_DEVICES; unchanged if empty
python_path=python

run_options="stage stop_stage tag data_dir musdb18_dir mir_st500_dir overlay eval_options id \
python_path"
started_in=$PWD
options_of=${BASH_SOURCE[0]}
. "$here/../../_common/parse_options.sh"
# paths given by the user are relative to where he is, the defaults to the recipe
for given in data_dir musdb18_dir mir_st500_dir; do
  if [[ -d "$started_in/${!given}" ]]; then printf -v "$given" '%s' "$started_in/${!given}"; fi
done
conf_options+=(--musdb18_dir "$musdb18_dir" --mir_st500_dir "$mir_st500_dir")
cd "$here"
name=$(basename "$here")
model=$(echo "$name" | tr "[:upper:]" "[:lower:]")
recipe_name=medleydb_musdb18/$name
dataset_dir=$data_dir

if [[ $stage -le 0 ]]; then
  if [[ -z $(find "$data_dir" -name '*_STEM_01.wav' -print -quit 2> /dev/null) ]]; then
    cat >&2 <<MESSAGE
Stage 0: there is no MedleyDB in $data_dir (no *_STEM_01.wav).
MedleyDB is free for research and given on request: https://medleydb.weebly.com/downloads.html. Unpack
it, put the folders Annotations and Metadata of https://github.com/marl/medleydb beside it, and give
the folder that holds all of it as --data_dir.
MESSAGE
    exit 1
  fi
  if [[ ",$overlay," != *,stage1,* ]] && ! compgen -G "$musdb18_dir/train/*/vocals.wav" > /dev/null; then
    cat >&2 <<MESSAGE
Stage 0: there is no MUSDB18-HQ in $musdb18_dir (no train/<track>/vocals.wav).
Get musdb18hq.zip (WAV, 23 GB, for non-commercial research) from
https://doi.org/10.5281/zenodo.3338373, unzip it and give the folder as --musdb18_dir.
MESSAGE
    exit 1
  fi
  if [[ ",$overlay," != *,stage1,* && ",$overlay," != *,no_notes,* ]] &&
    [[ -z $(find "$mir_st500_dir" -name MIR-ST500_corrected.json -print -quit 2> /dev/null) ]]; then
    cat >&2 <<MESSAGE
Stage 0: there is no MIR-ST500 in $mir_st500_dir (no MIR-ST500_corrected.json).
Get the notes from https://github.com/york135/singing_transcription_ICASSP2021, put the audio that you
have beside them as <number>/Mixture.mp3 and give the folder as --mir_st500_dir; or do without it:
--overlay no_notes.
MESSAGE
    exit 1
  fi
fi

. ../../_common/stages.sh
