# Sourced by run.sh of every recipe on MIR-1K: stage 0. Reads: stage dataset_dir

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
