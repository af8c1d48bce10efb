#!/bin/bash
# JointDTTNet on MUSDB18-HQ; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
