# Sourced by run.sh of every recipe on MUSDB18: stage 0. Reads: stage dataset_dir

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
