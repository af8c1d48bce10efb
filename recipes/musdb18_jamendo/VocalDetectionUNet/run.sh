#!/bin/bash
# VocalDetectionUNet on MUSDB18-HQ and Jamendo; --help lists the options.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../run.sh"
