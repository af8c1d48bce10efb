#!/bin/bash
# JointDTTNet on MIR-1K; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
