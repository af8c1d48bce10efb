#!/bin/bash
# DJCM on records; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
