# Sourced by run.sh: `--name value` sets a variable that run.sh has given a value before.
# Any other `--name value` is kept in the array `conf_options`: a key of the configuration, which
# train.py takes, and rejects where there is none of that name. `given_options` lists what was set.

conf_options=()
given_options=""
while [[ $# -gt 0 ]]; do
  case "$1" in
    --help | -h)
      sed -n '/^# Options/,/^$/p' "${options_of:-$0}"
      exit 0
      ;;
    --*=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
      ;;
    --*)
      name="${1#--}"
      name="${name//-/_}"
      if [[ $# -lt 2 ]]; then
        echo "run.sh: $1 lacks a value" >&2
        exit 2
      fi
      # only what run.sh offers: never a variable of the shell or the environment
      if [[ " $run_options " == *" $name "* ]]; then
        printf -v "$name" '%s' "$2"
        given_options="$given_options $name "
      else
        conf_options+=("--$name" "$2")
      fi
      shift 2
      ;;
    *)
      echo "run.sh: expected an option, received $1 (see --help)" >&2
      exit 2
      ;;
  esac
done
for name in stage stop_stage; do  # bash would read a word as 0 and begin with everything
  if [[ ! ${!name} =~ ^[0-3]$ ]]; then
    echo "run.sh: --$name takes 0 to 3, received '${!name}'." >&2
    exit 2
  fi
done
unset name
if [[ ${tag-} == */* ]]; then  # it names one folder, and log files beside it
  echo "run.sh: --tag takes a name without a slash, received '$tag'." >&2
  exit 2
fi
case "$python_path" in  # a path is relative to where the user is; a plain name is looked up
  /*) ;;
  */*) python_path=$PWD/$python_path ;;
esac
