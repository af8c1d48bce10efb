#!/bin/bash
# A cascade on MedleyDB, MUSDB18-HQ and MIR-ST500, each with other labels; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
