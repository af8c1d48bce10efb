# Sourced by run.sh after its stage 0: stages 1 to 3, the same for every recipe.
# Reads: model dataset_dir stage stop_stage tag id python_path overlay eval_options conf_options

uuid=$("$python_path" -c 'import uuid; print(str(uuid.uuid4())[:8])')
tag=${tag:-$uuid}
expdir=exp/train_${model}_${tag}
mkdir -p "$expdir" logs
echo "$uuid $(date -u +%FT%TZ) stage $stage" >> "$expdir/run_uuid.txt"
if [[ -n "$id" ]]; then
  export CUDA_VISIBLE_DEVICES=$id
fi

# What is written to the screen also goes to logs/ and, complete, into the experiment.
log_to() {
  tee -a "logs/$1_${tag}.log"
  cp "logs/$1_${tag}.log" "$expdir/$1.log"
}

if [[ $stage -le 1 && $stop_stage -ge 1 ]]; then
  echo "Stage 1: check the data in $dataset_dir"
  "$python_path" local/prepare.py --data_dir "$dataset_dir" --overlay "$overlay" \
    "${conf_options[@]}" 2>&1 | log_to prepare
fi

if [[ $stage -le 2 && $stop_stage -ge 2 ]]; then
  echo "Stage 2: train in $expdir"
  "$python_path" train.py --exp_dir "$expdir" --data_dir "$dataset_dir" --overlay "$overlay" \
    "${conf_options[@]}" 2>&1 | log_to train
  mkdir -p "$expdir/publish_dir"
  echo "$recipe_name" > "$expdir/publish_dir/recipe_name.txt"
fi

if [[ $stage -le 3 && $stop_stage -ge 3 ]]; then
  echo "Stage 3: evaluate $expdir"
  # shellcheck disable=SC2086  # eval_options are several words
  "$python_path" eval.py --exp_dir "$expdir" --data_dir "$dataset_dir" $eval_options \
    2>&1 | log_to eval
fi
