#!/bin/bash
# Any separator and any pitch estimator on MIR-1K, little of which has both labels; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
