#!/bin/bash
# JointXUMX on a made corpus; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
